#!/usr/bin/env python3
"""Stands for Dragonfly's dfdaemon in its mirror mode: GET requests go on to the registry that the header X-Dragonfly-Registry
names, with the range and without a cache. dragonfly.py PORT CA CERTIFICATE KEY; one line "STATUS PATH RANGE" a request."""
import http.server
import ssl
import sys
import urllib.error
import urllib.request

PASSED_ON = ("Range", "Accept", "Authorization")
PASSED_BACK = ("Content-Type", "Content-Range", "Docker-Content-Digest", "WWW-Authenticate")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        upstream = self.headers.get("X-Dragonfly-Registry")
        if not upstream:
            return self.answer(400, {}, b"no registry named")
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        request = urllib.request.Request(upstream + self.path, headers=headers | {"User-Agent": "dragonfly"})
        try:
            with urllib.request.urlopen(request, context=self.server.tls) as answer:
                self.answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            self.answer(error.code, error.headers, error.read())

    def answer(self, status, headers, body):
        self.send_response(status)
        for name in PASSED_BACK:
            if name in headers:
                self.send_header(name, headers[name])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        print(status, self.path, self.headers.get("Range"), flush=True)

    def log_message(self, *_):
        pass


def main():
    port, authority, certificate, key = sys.argv[1:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    server.tls = ssl.create_default_context(cafile=authority)
    server.tls.load_cert_chain(certificate, key)
    server.serve_forever()


if __name__ == "__main__":
    main()
