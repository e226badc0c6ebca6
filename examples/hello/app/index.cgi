#!/bin/sh
# The page: which task answered, on which host name, in which version.
cat <<PAGE
Content-Type: text/html; charset=utf-8
Cache-Control: no-store

<!doctype html>
<html lang="en">
<title>Hello from Shoal</title>
<h1>Hello from ${TASK_NAME:-$(hostname)}</h1>
<p>host $(hostname), version $HELLO_VERSION
</html>
PAGE
