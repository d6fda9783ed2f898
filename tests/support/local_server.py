"""A small HTTP server of this machine, which plays another one."""

import http.server
import threading


class LocalServer(http.server.ThreadingHTTPServer):
    """Runs in a thread while it is used as a context.

    Args:
        handler: What answers.
    """

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def host(self):
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args):
        self.shutdown()
        super().__exit__(*args)


class Handler(http.server.BaseHTTPRequestHandler):
    """Logs nothing."""

    def send(self, content, kind="application/json", status=200):
        """Answers with bytes of a kind."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass
