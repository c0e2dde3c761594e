"""An operator of a running gateway, who calls its admin API as REST."""

import secrets
from typing import Any

import httpx

from extproc.core.people import Scope
from tests.e2e.admin import bearer, make_token
from tests.e2e.harness import Customer, Gateway, eventually


class Operator:
    """Somebody with a token for everything, which is in `token`."""

    def __init__(self, gateway: Gateway) -> None:
        self.token = make_token(gateway, Scope.OPERATOR)
        url = f"{gateway.settings.admin_url}/admin/v1/"
        self._http = httpx.Client(base_url=url, headers=bearer(self.token), timeout=60, trust_env=False)
        eventually(lambda: self._http.get("whoami").status_code == 200, "the admin API")

    def does(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        """Call `/admin/v1/…`; it must be done."""
        answer = self._http.request(method, path, json=fields or None)
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def customer(self) -> Customer:
        """A new owner with 10 USD and a key."""
        owner = f"owner-{secrets.token_hex(6)}"
        new = self.does("POST", "keys", owner=owner)
        entry = {"kind": "top_up", "amount_nano": str(10**10), "reference": "first"}
        self.does("POST", f"owners/{owner}/wallet/entries", **entry)
        return Customer(owner, new["plaintext"], new["key"]["key_id"])
