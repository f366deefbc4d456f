"""The `dxmesh` command line.

Exit codes: 0 done · 1 refused or failed · 2 wrong usage or no node configured · 3 a service does not answer · 4 a proof does not
hold · 5 the batch is rejected.
"""

import sys
import warnings
from importlib.metadata import entry_points
from typing import Annotated

import typer

from dxmesh_client.cli import (
    agent,
    api,
    asking,
    bulk,
    catalog,
    codes,
    correction,
    dispute,
    duty,
    exchange,
    grant,
    lists,
    party,
    proof,
    publication,
    reader,
    reconciliation,
    results,
    sources,
    subscription,
    use,
    wanting,
)
from dxmesh_client.cli.output import Mode, complain
from dxmesh_client.errors import ClientError

app = typer.Typer(
    name="dxmesh",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Push, ask for, read and prove government data. Exit codes: 0 done, 1 refused, 2 usage, 3 no answer, 4 not verified, 5 rejected.",
)


@app.callback()
def _options(as_json: Annotated[bool, typer.Option("--json", help="speak JSON; may stand anywhere on the line")] = False) -> None:
    Mode.json = Mode.json or as_json


app.add_typer(bulk.catalog, name="catalog")
app.add_typer(catalog.org, name="org")
app.add_typer(catalog.system, name="system")
app.add_typer(publication.resource, name="resource")
app.add_typer(party.officer, name="officer")
app.add_typer(party.taxonomy, name="taxonomy")
app.add_typer(codes.codes, name="codes")
app.add_typer(duty.duty, name="duty")
app.add_typer(duty.mount, name="mount")
app.add_typer(sources.source, name="source")
app.add_typer(sources.arbitration, name="arbitration")
app.add_typer(sources.synonym, name="synonym")
app.add_typer(sources.form, name="form")
app.add_typer(lists.lists, name="list")
app.add_typer(lists.edition, name="edition")
app.command()(lists.ledger)
app.command()(lists.report)
app.add_typer(agent.agent, name="agent")
app.add_typer(agent.channel, name="channel")
app.command()(exchange.push)
app.add_typer(exchange.batch, name="batch")
app.add_typer(exchange.request, name="request")
asking.add_to(exchange.request)
app.add_typer(grant.grant, name="grant")
app.command()(dispute.clocks)
app.add_typer(dispute.dispute, name="dispute")
app.add_typer(correction.correction, name="correction")
app.add_typer(api.api, name="api")
app.add_typer(wanting.demand, name="demand")
app.add_typer(wanting.offer, name="offer")
app.add_typer(reader.reader, name="reader")
app.add_typer(subscription.subscription, name="subscription")
app.add_typer(use.use, name="use")
app.add_typer(results.result, name="result")
app.add_typer(reconciliation.reconciliation, name="reconciliation")
app.command()(reconciliation.lag)
app.command()(exchange.pull)
app.command()(exchange.tail)
app.command()(proof.receipt)
app.command()(proof.verify)
app.command()(proof.login)
app.command()(proof.doctor)


def _own_commands() -> set[str]:
    callbacks = (command.callback.__name__ for command in app.registered_commands if command.callback and not command.name)
    return {*callbacks, *(group.name for group in app.registered_groups if group.name)}


def main() -> None:
    """Run the command line; every foreseen failure is one line on standard error and an exit code."""
    warnings.filterwarnings("ignore", "EdDSA is deprecated")  # the name our signatures are known by: nothing a caller can mend
    arguments = [argument for argument in sys.argv[1:] if argument != "--json"]
    Mode.json = len(arguments) < len(sys.argv) - 1
    if not any(argument in _own_commands() for argument in arguments[:1]):
        for plugin in sorted(entry_points(group="dxmesh.commands"), key=lambda found: found.name):
            app.command(plugin.name)(plugin.load())  # the local mesh adds `demo`
    try:
        app(args=arguments)
    except ClientError as failure:
        complain(str(failure))
        raise SystemExit(failure.exit_code) from None
    except OSError as failure:  # a file of the caller's: the network's failures are ClientErrors by now
        complain(f"{failure.filename or 'a file'}: {failure.strerror or failure}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
