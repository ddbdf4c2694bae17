"""A browser for forms without scripts, as the pages of a login are."""

import http.cookiejar
import urllib.error
import urllib.request
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

from programs import PATIENCE_S


class Forms(HTMLParser):
    """The forms of a page: where each goes, and what it says if nobody types."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        said = dict(attributes)
        if tag == "form":
            self.found.append((said.get("action", ""), {}))
        elif tag in ("input", "button") and self.found and "name" in said:
            is_typed = tag == "input" and said.get("type") not in ("submit", "checkbox")
            self.found[-1][1][said["name"]] = (said.get("value") or "", is_typed)


def make_browser():
    """Return an opener with cookies; those for TLS too, for 127.0.0.1 is as good."""
    policy = http.cookiejar.DefaultCookiePolicy(secure_protocols=("http", "https"))
    jar = http.cookiejar.CookieJar(policy)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar)
    )


def visit(browser, address, answers=None):
    """Return where a page is and what it says, errors alike."""
    data = None if answers is None else urlencode(answers).encode()
    try:
        with browser.open(address, data, timeout=PATIENCE_S) as page:
            return page.url, page.read().decode()
    except urllib.error.HTTPError as page:
        with page:
            return page.url, page.read().decode()


def fill_forms(address, typed, last=()):
    """Return the last page of a row of forms; each takes what it has of what is typed.

    There is no form on it, or one with a name of `last` was sent.
    """
    browser = make_browser()
    address, page = visit(browser, address)
    for _ in range(8):
        forms = Forms(page).found
        if not forms:
            return page
        action, fields = forms[0]
        answers = {
            name: value for name, (value, is_typed) in fields.items() if is_typed
        }
        answers |= {name: value for name, value in typed.items() if name in fields}
        address, page = visit(browser, urljoin(address, action), answers)
        if not answers.keys().isdisjoint(last):
            return page
    raise AssertionError(f"forms without end at {address}")
