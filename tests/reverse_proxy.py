"""A real reverse proxy, as users put before the service."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from toolkit.debian import skip_without
from toolkit.running import free_port, wait_until

_CONFIGURATION = """
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto https;
  server {{
    listen 127.0.0.1:{port};
    location {root}/ {{ proxy_pass {target}; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, root: str, target: str) -> Iterator[str]:
    """The address of an nginx that shows `target` below the path `root`.

    It takes the path away if `target` ends in a slash. Skips the test where there is no nginx.
    """
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    # Not among what `make test` installs: Debian's starts a server on port 80 for good.
    skip_without("nginx-light", program is not None)
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, port=port, root=root, target=target)
    )
    url = f"http://127.0.0.1:{port}"
    command = [str(program), "-p", str(folder), "-c", str(configuration)]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: _answers(url) or process.poll() is not None)
            yield url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return bool(httpx.get(url).status_code)
    except httpx.HTTPError:
        return False
