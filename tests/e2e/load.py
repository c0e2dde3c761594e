"""Callers in a loop, while something happens to the gateway."""

import threading

import httpx

from tests.e2e.calls import FORMS, headers
from tests.e2e.harness import Customer, Gateway, eventually


class Load:
    """Callers in a loop, until told to stop. `answers` is (status, Retry-After, request id), one for each call.

    Status 0 is no answer at all.
    """

    def __init__(self, gateway: Gateway, customer: Customer, callers: int = 6) -> None:
        self.answers: list[tuple[int, str | None, str]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(gateway, customer)) for _ in range(callers)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def more(self, count: int) -> None:
        """Wait for so many further answers."""
        goal = len(self.answers) + count
        eventually(lambda: len(self.answers) >= goal, f"{count} further answers", 60)

    def _run(self, gateway: Gateway, customer: Customer) -> None:
        form = FORMS["chat"]
        sent, body = headers(form, customer.key), form.encode("Hello you")
        with httpx.Client(base_url=gateway.url, timeout=60) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post(form.path, headers=sent, content=body)
                except httpx.TransportError:
                    self.answers.append((0, None, ""))
                    continue
                request_id = answer.headers["x-tollgate-request-id"]
                self.answers.append((answer.status_code, answer.headers.get("retry-after"), request_id))
