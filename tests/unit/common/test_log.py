"""What a log's lines say of themselves."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import structlog
from common.log import configure, of_node
configure("info", "shoald")
log = structlog.get_logger()
of_node("n1")
log.info("own")
of_node("n2")
log.info("later")
log.info("other", node="n9")
"""


def test_lines_are_of_the_node_that_it_is_or_of_the_one_they_name() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["node"]) for line in lines] == [("own", "n1"), ("later", "n2"), ("other", "n9")]
