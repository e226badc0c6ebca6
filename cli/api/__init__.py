"""The Docker Engine REST API as a client sees it, on a small HTTP/1.1 client of its own."""
