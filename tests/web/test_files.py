"""The files of the page: how they are served, and what must be in none of them."""

import gzip
import json
import re

import httpx
import pytest

from app.api.operations.page import CSP, FOLDER, page_files
from tests.support.databases import settings_for
from tests.support.in_process_server import run_server

SCRIPTS = sorted(FOLDER.rglob("*.js"))
TEXTS = {language: json.loads((FOLDER / "text" / f"{language}.json").read_text()) for language in ("en", "de")}
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|setHTML|javascript:"
)
KEY = re.compile(r'\bt\(\s*"([^"]+)"')
MADE_KEY = re.compile(r"\bt\(\s*`([^`$]*)\$\{")
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
MAX_LINES, MAX_LINES_OF_A_FILE, MAX_BYTES = 4000, 300, 60_000


def source(path):
    return path.read_text()


def code():
    return "\n".join(source(path) for path in SCRIPTS)


def test_the_german_texts_have_the_keys_of_the_english_ones_in_their_order():
    assert list(TEXTS["de"]) == list(TEXTS["en"])


def test_a_text_has_the_same_values_in_both_languages():
    values = {
        language: {key: set(re.findall(r"{\w+}", text)) for key, text in TEXTS[language].items()} for language in TEXTS
    }

    assert values["de"] == values["en"]


def test_every_text_that_a_script_names_is_there():
    assert set(KEY.findall(code())) - TEXTS["en"].keys() == set()


def test_every_text_is_named_by_a_script():
    """Those whose key is put together count by its beginning."""
    named = set(KEY.findall(code())) | set(re.findall(r'"([\w.-]+)"', code()))
    beginnings = (*filter(None, MADE_KEY.findall(code())), "problem.", "clock.title", "time.title", "team.title")
    titles = {f"{name}.title" for name in ("login", "account", "change-password", "set-password")}

    assert {key for key in TEXTS["en"] if key not in named | titles and not key.startswith(beginnings)} == set()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_turns_a_text_into_html_or_code(path):
    assert FORBIDDEN.findall(source(path)) == []


def test_nothing_is_inline_and_nothing_comes_from_elsewhere():
    page = source(FOLDER / "index.html")

    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|https?:", page) == []
    assert "url(" not in source(FOLDER / "page.css")
    assert "@import" not in source(FOLDER / "page.css")


def test_the_page_stays_small_enough_to_be_read():
    files = [*SCRIPTS, *FOLDER.rglob("*.css")]
    lines = {path.name: len(source(path).splitlines()) for path in files}

    assert sum(lines.values()) < MAX_LINES
    assert {name: count for name, count in lines.items() if count > MAX_LINES_OF_A_FILE} == {}


@pytest.mark.parametrize("language", TEXTS)
def test_all_files_with_one_language_are_less_than_a_photo(language):
    others = {f"text/{other}.json" for other in TEXTS if other != language}

    assert sum(len(file.compressed) for path, file in page_files().items() if path not in others) < MAX_BYTES


def test_every_file_that_another_one_loads_is_there():
    for path in SCRIPTS:
        for name in re.findall(r'(?:from|import\()\s*"(\.[^"]+)"', source(path)):
            assert (path.parent / name).resolve().is_file(), f"{path.name} loads {name}"


# Serving


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.base_url) as client:
        yield client


def test_the_page_comes_with_its_policy_and_without_a_user(client):
    answer = client.get("/app/")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == CSP
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("main.js", "text/javascript; charset=utf-8"),
        ("pages/clock.js", "text/javascript; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("text/de.json", "application/json"),
        ("icon.svg", "image/svg+xml"),
        ("manifest.webmanifest", "application/manifest+json"),
    ],
)
def test_a_file_is_compressed_and_sent_again_only_if_it_has_changed(client, path, media_type):
    first = client.get(f"/app/{path}")
    etag = first.headers["ETag"]

    assert first.headers["Content-Type"] == media_type
    assert first.headers["Content-Encoding"] == "gzip"
    assert first.content == (FOLDER / path).read_bytes()
    repeated = client.get(f"/app/{path}", headers={"If-None-Match": etag})
    assert (repeated.status_code, repeated.content, repeated.headers["ETag"]) == (304, b"", etag)
    assert client.get(f"/app/{path}", headers={"If-None-Match": '"another"'}).status_code == 200


def test_a_client_without_compression_gets_the_plain_file_with_another_tag(client):
    plain = client.get("/app/page.css", headers={"Accept-Encoding": "identity"})

    assert "Content-Encoding" not in plain.headers
    assert plain.content == (FOLDER / "page.css").read_bytes()
    assert plain.headers["ETag"] != client.get("/app/page.css").headers["ETag"]


@pytest.mark.parametrize(
    "path", ["nowhere.js", "../main.py", "..%2fmain.py", "%2e%2e/main.py", "/etc/passwd", "text", "__init__.py"]
)
def test_nothing_else_is_served(client, path):
    assert client.get(f"/app/{path}").status_code == 404


def test_a_browser_that_opens_the_root_comes_to_the_page_and_a_program_gets_json(client):
    browser, program = client.get("/", headers=HTML), client.get("/")

    assert (browser.status_code, browser.headers["Location"]) == (302, "/app/")
    assert program.json() == {"message": "Welcome to the Employee Time Tracking API"}
    assert client.get("/app", headers=HTML).headers["Location"] == "/app/"


def test_below_a_path_of_a_proxy_the_browser_stays_below_it(db_url):
    settings = settings_for(db_url, HOST="0.0.0.0", TRUSTED_PROXIES=["127.0.0.1"])
    with run_server(settings) as server, httpx.Client(base_url=server.base_url) as client:
        answer = client.get("/", headers=HTML | {"X-Forwarded-Prefix": "/zeit"})

        assert answer.headers["Location"] == "/zeit/app/"
        assert 'src="main.js"' in client.get("/app/", headers={"X-Forwarded-Prefix": "/zeit"}).text


def test_without_the_setting_there_is_no_page(db_url):
    with run_server(settings_for(db_url, PAGE=False)) as server, httpx.Client(base_url=server.base_url) as client:
        assert client.get("/app/").status_code == 404
        assert client.get("/", headers=HTML).json()["message"].startswith("Welcome")


def test_the_worker_learns_of_every_file_and_of_a_version(client):
    listed = client.get("/app/files.json").json()

    assert set(listed["files"]) == page_files().keys() - {"files.json", "worker.js"}
    assert re.fullmatch("[0-9a-f]{16}", listed["version"])
    assert gzip.decompress(page_files()["main.js"].compressed) == page_files()["main.js"].content
