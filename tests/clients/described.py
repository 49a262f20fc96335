"""The API against its own description: the document is valid, and whatever is asked, the answer is one that it speaks of
and no fault of the gateway's.

    described.py [URL TOKEN]

or with STARLING_URL and STARLING_TOKEN (an administrator's access token). Requests are made of the document by
schemathesis, the same ones in every run. Names of models and ids are those of things that there are, or most requests
would end at the door.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

from openapi_spec_validator import validate

MAX_TIME_S = 45
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
]
# They end the session that asks, or are a socket.
LEFT_OUT = "^/api/(session|sessions|chat)(/|$)"
THINGS = {
    "conversations": ("conversation", {"title": "a title"}),
    "characters": ("character", {"name": "a name"}),
    "keys": ("key", {"label": "a label"}),
}


def ask(url, token, path, body=None):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url + path, data, headers)) as answer:
        return json.load(answer)


def with_things_that_are_there(document, url, token):
    """Changes the document so that ids and models are some that exist."""
    models = {model["kind"]: model["id"] for model in ask(url, token, "/v1/models")["data"]}
    schemas = document["components"]["schemas"]
    for name, kind in (
        ("ChatRequest", "chat"),
        ("CompletionRequest", "chat"),
        ("ResponsesRequest", "chat"),
        ("EmbeddingsRequest", "embedding"),
    ):
        schemas[name]["properties"]["model"] = {"const": models[kind]}
    for resource, (thing, new) in THINGS.items():
        made = [ask(url, token, f"/api/{resource}", new)[thing]["id"] for _ in range(8)]
        for path, item in document["paths"].items():
            if path.startswith(f"/api/{resource}/{{id}}"):
                for operation in item.values():
                    [of_path] = [entry for entry in operation["parameters"] if entry["in"] == "path"]
                    of_path["schema"] = {"enum": made}
    document["paths"]["/v1/models/{id}"]["get"]["parameters"][0]["schema"] = {"enum": list(models.values())}


def main():
    url, token = sys.argv[1:] or [os.environ["STARLING_URL"], os.environ["STARLING_TOKEN"]]
    document = ask(url, token, "/api/openapi.json")
    validate(document)
    print(f"the document is valid: {len(document['paths'])} paths")
    with_things_that_are_there(document, url, token)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "openapi.json")
        file.write_text(json.dumps(document))
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(file), "--url", url]
        command += ["--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS)]
        command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "7", "--no-shrink"]
        command += ["--exclude-path-regex", LEFT_OUT, "--suppress-health-check", "all", "--warnings", "off"]
        # One: two threads of Python 3.11.2 that parse at once can break each other's parser (cpython issue 106905).
        command += ["--workers", "1", "--request-timeout", "20", "--max-time", str(MAX_TIME_S)]
        sys.exit(subprocess.run(command, cwd=folder, check=False).returncode)


if __name__ == "__main__":
    main()
