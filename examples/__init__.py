"""Things to try Shoal with: an example app, a demo, and the lab of many hosts."""
