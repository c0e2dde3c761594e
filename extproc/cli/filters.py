"""The options that say which requests a command is about."""

from dataclasses import dataclass
from typing import Annotated

import typer

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli.values import past
from extproc.clock import now_ms

_MOMENT = "A date, a time, or how long ago: 2026-11-22, 24h, 7d."


@dataclass(frozen=True, slots=True)
class Which:
    """Each field is an option of every command about requests. What is empty is not looked at."""

    owner: Annotated[str, typer.Option(help="Only this owner's.")] = ""
    team: Annotated[str, typer.Option(help="Only this team's.")] = ""
    member: Annotated[str, typer.Option(help="Only this member's.")] = ""
    key: Annotated[str, typer.Option(help="Only those of the key with this id.")] = ""
    model: Annotated[str, typer.Option(help="Only for this model.")] = ""
    group: Annotated[str, typer.Option(help="Only in this group.")] = ""
    channel: Annotated[str, typer.Option(help="Only over this channel.")] = ""
    status: Annotated[str, typer.Option(help="Only with this status, such as 200 or 4xx.")] = ""
    since: Annotated[str, typer.Option(help=f"From then on. {_MOMENT}")] = ""
    until: Annotated[str, typer.Option(help="Before then.")] = ""

    def filter(self) -> pb.Filter:
        """The same for the admin API. Raises `TollgateError` for a moment that is none."""
        now = now_ms()
        return pb.Filter(
            from_ms=past(self.since, now) if self.since else 0,
            until_ms=past(self.until, now) if self.until else 0,
            owner=self.owner,
            team=self.team,
            member=self.member,
            key_id=self.key,
            model=self.model,
            group=self.group,
            channel=self.channel,
            status=self.status,
        )
