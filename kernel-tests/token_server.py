"""A small real token server for docker-registry (Distribution's "token authentication"): signs what a user asks for with a
key made for the purpose. By GET with user and password, or by POST with an identity token (OAuth2)."""

import base64
import http.server
import json
import os
import subprocess
import threading
import time
import urllib.parse

ISSUER = "test-issuer"


def coded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    def __init__(self, folder, user, password, identity_token, seconds=300):
        """seconds: what a token's life is said to be."""
        self.user, self.password, self.identity_token, self.seconds = user, password, identity_token, seconds
        self.key, self.certificate = os.path.join(folder, "token.key"), os.path.join(folder, "token.crt")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.certificate,
                        "-subj", "/CN=token", "-days", "2"], check=True, capture_output=True)
        with open(self.certificate, encoding="ascii") as text:
            self.chain = ["".join(line.strip() for line in text if "-----" not in line)]
        self.asked = []  # (method, scopes, who)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.realm = f"http://127.0.0.1:{self.server.server_port}/token"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def registry_config(self):
        """For docker-registry's configuration file."""
        return (f"auth: {{token: {{realm: \"{self.realm}\", service: \"test registry\", issuer: \"{ISSUER}\", "
                f"rootcertbundle: \"{self.certificate}\"}}}}\n")

    def who(self, header):
        if not header:
            return None
        pair = base64.b64decode(header.removeprefix("Basic ")).decode()
        return self.user if pair == f"{self.user}:{self.password}" else False

    def token(self, who, scopes):
        """Everybody may pull what is public; the user may do anything."""
        access = []
        for kind, name, actions in (scope.split(":") for scope in scopes):
            granted = [one for one in actions.split(",") if who or (one == "pull" and name.startswith("public/"))]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": self.chain}
        claims = {"iss": ISSUER, "sub": who or "", "aud": "test registry", "exp": now + 600, "nbf": now - 10, "iat": now, "jti": str(now), "access": access}
        text = ".".join(coded(json.dumps(part).encode()) for part in (head, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), check=True, capture_output=True).stdout
        return f"{text}.{coded(signature)}"

    def handler(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, document):
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def give(self, who, scopes):
                issuer.asked.append((self.command, scopes, who))
                if who is False:
                    return self.answer(401, {"errors": [{"code": "UNAUTHORIZED"}]})
                self.answer(200, {"token": issuer.token(who, scopes), "expires_in": issuer.seconds})

            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                self.give(issuer.who(self.headers.get("Authorization")), [one for scope in query.get("scope", []) for one in scope.split(" ")])

            def do_POST(self):
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                good = form.get("grant_type") == ["refresh_token"] and form.get("refresh_token") == [issuer.identity_token]
                self.give(issuer.user if good else False, form.get("scope", [""])[0].split())

        return Handler
