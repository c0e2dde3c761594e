"""A vendor over TLS, with a certificate that no authority signed."""

import ssl
from pathlib import Path

from extproc.certificate import self_signed
from extproc.names import TLS_CERTIFICATE, TLS_KEY
from tests.e2e.odd_vendor import OddVendor


class TlsVendor(OddVendor):
    """`OddVendor` at every address of loopback. `certificate` is what it shows, for these names and addresses."""

    def __init__(self, folder: Path, *names: str) -> None:
        super().__init__("0.0.0.0")
        folder.mkdir()
        self.certificate = folder / TLS_CERTIFICATE
        for path, content in zip((self.certificate, folder / TLS_KEY), self_signed(*names), strict=True):
            path.write_bytes(content)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, folder / TLS_KEY)
        self.socket = context.wrap_socket(self.socket, server_side=True)
