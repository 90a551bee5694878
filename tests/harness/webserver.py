# SPDX-License-Identifier: Apache-2.0
"""A web server of the test's own: files, git repositories, and what was sent to it.

    webserver.py ADDRESS PORT DIRECTORY [CERT KEY]

GET gives a file of DIRECTORY; below /git/ everything is git's own http-backend; POST and PUT anywhere else answer with length and
digest of the body.
"""
import hashlib
import http.server
import os
import ssl
import subprocess
import sys


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, status, fields, data):
        self.send_response(status)
        for name, value in {**fields, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def git(self):
        """As CGI (git-http-backend(1))."""
        path, _, query = self.path.partition("?")
        data = self.body()
        env = {**os.environ, "GIT_PROJECT_ROOT": self.directory, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
               "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(data)),
               "CONTENT_TYPE": self.headers.get("Content-Type", ""), "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", "")}
        done = subprocess.run(["git", "http-backend"], input=data, env=env, stdout=subprocess.PIPE, check=False)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.answer(int(fields.pop("Status", "200").split()[0]), fields, rest)

    def do_GET(self):
        if self.path.startswith("/git/"):
            self.git()
        else:
            super().do_GET()

    def do_POST(self):
        if self.path.startswith("/git/"):
            self.git()
        else:
            data = self.body()
            self.answer(200, {}, f"{len(data)} {hashlib.sha256(data).hexdigest()}\n".encode())

    do_PUT = do_POST


class Server(http.server.ThreadingHTTPServer):
    context = None

    def finish_request(self, request, client_address):
        """In the connection's own thread, so that a handshake holds nobody up."""
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        Handler(request, client_address, self, directory=sys.argv[3])


def main():
    if sys.argv[4:]:
        Server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        Server.context.load_cert_chain(*sys.argv[4:])
    Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()


if __name__ == "__main__":
    main()
