"""A server of a folder that sends ranges, as object stores do; each number of bytes that it sends is a line of a file.

It is a process of its own: GDAL, which asks it, holds the interpreter until it answers."""

import re
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Ranges(SimpleHTTPRequestHandler):
    """Files, whole or a range of their bytes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        first, last = 0, len(content) - 1
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(last, int(asked[2] or last))
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.wfile.write(content[first : last + 1])
        with Path(sys.argv[2]).open("a") as log:
            log.write(f"{last - first + 1}\n")

    def log_message(self, *words: object) -> None:
        """No word of it."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=sys.argv[1])) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
