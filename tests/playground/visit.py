"""What a user of the page does and sees."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.sync_api import Page, Route, expect

from toolkit.running import Service

QUERY = "when is the meeting?"
DOCUMENTS = ["soup is served at noon", "the meeting starts at two", "nothing", "내일 오후 2시"]
MARKUP = [
    "<img src=x onerror=\"document.title='broken'\">",
    "<script>document.title='broken'</script>",
    "<b>bold</b> &amp; 'quoted' \\ $HOME `id` !!",
]


class Visit:
    """A page that is open, and what the browser complained about and asked for meanwhile."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(url)

    def fill(self, query: str = QUERY, documents: list[str] = DOCUMENTS) -> None:
        self.page.get_by_label("Query").fill(query)
        self.page.get_by_label("Documents").fill("\n".join(documents))

    def rank(self) -> None:
        self.page.get_by_role("button", name="Rank", exact=True).click()

    def send_to(self, service: Service) -> None:
        """Let another service answer in place of the one that the page is from."""

        def redirect(route: Route) -> None:
            path = urlsplit(route.request.url).path
            route.continue_(url=service.url + path)

        self.page.route(re.compile("/(rerank|health|v1/models)$"), redirect)

    def copied(self, language: str = "curl") -> str:
        """The request as code, out of the clipboard."""
        self.page.evaluate("navigator.clipboard.writeText('')")
        self.page.get_by_role("button", name=f"Copy as {language}").click()
        copied = "async () => await navigator.clipboard.readText() !== ''"
        self.page.wait_for_function(copied)
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    @property
    def results(self) -> list[str]:
        """The texts shown, best first."""
        return self.page.locator("ol .text").all_text_contents()

    def expect_results(self, texts: list[str]) -> None:
        expect(self.page.locator("ol .text")).to_have_text(texts)

    def expect_failure(self, title: str, detail: str) -> None:
        alert = self.page.get_by_role("alert")
        expect(alert.get_by_role("heading")).to_have_text(title)
        expect(alert.last).to_contain_text(detail)


def ranked(service: Service, documents: list[str] = DOCUMENTS, **more: object) -> list[str]:
    """The texts as a plain request gets them, best first."""
    answer = service.rerank(query=QUERY, documents=documents, **more).raise_for_status().json()
    return [documents[result["index"]] for result in answer["results"]]
