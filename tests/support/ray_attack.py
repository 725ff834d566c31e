"""What a stranger on the LAN tries against Ray: a program that posts a job to a port in every way Ray takes one.

Arguments: HOST MARKER PORT... A port that ran the job has made the file MARKER, which is all that counts.
"""

import contextlib
import http.client
import json
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

HTTP_PATHS = ("/api/job_agent/jobs/", "/api/jobs/")


def submit_job(host: str, port: int, marker: str) -> str:
    body = json.dumps({"entrypoint": f"touch {marker}"}).encode()
    said = []
    for path in HTTP_PATHS:
        said.append(f"{path} {_post(f'http://{host}:{port}{path}', body)}")
    # Protocol buffer of GetOrCreateRuntimeEnvRequest: an environment whose worker is our command.
    environment = json.dumps({"py_executable": f"touch {marker};"}).encode()
    message = b"\x0a" + bytes([len(environment)]) + environment
    said.append(f"runtime_env {_post(f'http://{host}:{port}/get_or_create_runtime_env', message)}")
    return "; ".join(said)


def _post(url: str, body: bytes) -> str:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return f"{answer.status} {answer.read(60)!r}"
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return str(error.code)
    except (OSError, http.client.HTTPException) as error:  # gRPC answers in another language
        return type(error).__name__


if __name__ == "__main__":
    target, proof, *ports = sys.argv[1:]
    with ThreadPoolExecutor(8) as pool:  # a port that speaks no HTTP may keep a stranger waiting
        for line in pool.map(lambda port: f"{port} {submit_job(target, int(port), proof)}", ports):
            print(line)
