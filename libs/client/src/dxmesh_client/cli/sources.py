"""`dxmesh source|arbitration|synonym|form`: who is the source of a data element, and what need not be collected again."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import typer

from dxmesh_client import form_file
from dxmesh_client.cli.catalog import Limit
from dxmesh_client.cli.output import Mode, say, show, show_all
from dxmesh_client.cli.sending import answer_of, send
from dxmesh_client.client import Client

source = typer.Typer(no_args_is_help=True, help="Sources of data elements: one item, one source.")
arbitration = typer.Typer(no_args_is_help=True, help="Cases of two items that want to be one data element's source.")
synonym = typer.Typer(no_args_is_help=True, help="What terms mean in names of items, and how alike two names are.")
form = typer.Typer(no_args_is_help=True, help="Forms: what need not be collected again.")

Why = Annotated[str, typer.Option(help="the reason, as it is written down")]
Item = Annotated[str, typer.Argument(help="the item's code")]
_CLAIM = ["claim_id", "division_code", "organization_id", "resource_id", "item", "item_name", "state", "claimed_at"]
_CASE = ["case_id", "state", "claimant_item_name", "holder_item_name", "similarity", "due_on", "outcome", "objection_until"]
_RIVAL = ["organization", "resource_name", "item", "item_name", "similarity", "claim_id"]
_FORM = ["form_id", "name", "held_count", "withheld_count", "doubtful_count", "new_count", "matched_at"]
_FINDING = ["name", "outcome", "organization", "resource", "item", "similarity"]
_REPEAT = ["division_code", "name", "kind", "organization_count", "item_count", "has_source"]


def _list(path: str, columns: list[str], **parameters: Any) -> None:
    with Client() as client:
        show_all(client.page(f"{client.profile.catalog}/v1/{path}", **parameters).items, columns)


@source.command("list")
def source_list(
    division: Annotated[str | None, typer.Option(help="division code")] = None,
    organization: Annotated[UUID | None, typer.Option()] = None,
    resource: Annotated[UUID | None, typer.Option()] = None,
    state: Annotated[str | None, typer.Option(help="held or released; both when left out")] = None,
    q: Annotated[str | None, typer.Option(help="part of the item's name")] = None,
    limit: Limit = 50,
) -> None:
    """List sources as they were claimed."""
    _list("source-claims", _CLAIM, division=division, organization=organization, resource=resource, state=state, q=q, limit=limit)


@source.command("show")
def source_show(claim_id: UUID) -> None:
    """Show a source."""
    send("catalog", "GET", f"source-claims/{claim_id}")


@source.command("claim")
def source_claim(resource_id: UUID, item: Item) -> None:
    """Make a published item its division's source (steward); where another holds it, the answer names it and what to do."""
    made = answer_of("catalog", "POST", "source-claims", resource_id=resource_id, item=item)
    show(made)
    if made["doubtful"] and not Mode.json:
        rows = [one | {"organization": one["organization"]["name"]} for one in made["doubtful"]]
        show_all(rows, _RIVAL, title="may be the same data element; somebody should look")


@source.command("release")
def source_release(claim_id: UUID, reason: Why) -> None:
    """Give a source up: another item may claim the data element."""
    send("catalog", "POST", f"source-claims/{claim_id}/release", reason=reason)


@arbitration.command("list")
def arbitration_list(state: Annotated[str | None, typer.Option(help="only cases that stand so")] = None, limit: Limit = 50) -> None:
    """List the cases of your organization; the authority sees all."""
    _list("arbitrations", _CASE, state=state, limit=limit)


@arbitration.command("show")
def arbitration_show(case_id: UUID) -> None:
    """Show a case with what both sides say."""
    _show_case(answer_of("catalog", "GET", f"arbitrations/{case_id}"))


@arbitration.command("open")
def arbitration_open(
    resource_id: UUID, item: Item, statement: Annotated[str, typer.Option(help="why this item should be the source")]
) -> None:
    """Bring an item that was refused as a source before the data authority (steward)."""
    _show_case(answer_of("catalog", "POST", "arbitrations", resource_id=resource_id, item=item, statement=statement))


@arbitration.command("state")
def arbitration_state(case_id: UUID, text: Annotated[str, typer.Option(help="what your organization says")]) -> None:
    """Add a statement of your organization (steward of either side)."""
    send("catalog", "POST", f"arbitrations/{case_id}/statements", text=text)


@arbitration.command("decide")
def arbitration_decide(
    case_id: UUID,
    outcome: Annotated[str, typer.Option(help="claimant, holder, or distinct: two data elements, both stay")],
    reason: Why,
    document: Annotated[str | None, typer.Option(help="the people's government's decision, where that decided on objection")] = None,
) -> None:
    """Decide a case (authority)."""
    _show_case(answer_of("catalog", "POST", f"arbitrations/{case_id}/decision", outcome=outcome, reason=reason, document=document))


@arbitration.command("object")
def arbitration_object(case_id: UUID, reason: Why) -> None:
    """Object to a decision that went against your organization: its people's government decides (steward)."""
    _show_case(answer_of("catalog", "POST", f"arbitrations/{case_id}/objection", reason=reason))


@arbitration.command("withdraw")
def arbitration_withdraw(case_id: UUID, reason: Why) -> None:
    """Take your case back before it is decided, or your objection; then the decision stands for good (steward)."""
    _show_case(answer_of("catalog", "POST", f"arbitrations/{case_id}/withdrawal", reason=reason))


def _show_case(case: dict[str, Any]) -> None:
    show(case)
    if not Mode.json:
        show_all(case["statements"], ["made_at", "organization_id", "text"], title="said")
        show_all(case["steps"], ["at", "step", "by", "reason"], title="done")


@synonym.command("list")
def synonym_list(q: Annotated[str | None, typer.Option(help="part of the term")] = None, limit: Limit = 50) -> None:
    """List the node's own synonyms."""
    _list("synonyms", ["term", "concept", "entered_by", "entered_at"], q=q, limit=limit)


@synonym.command("shipped")
def synonym_shipped() -> None:
    """List the groups of terms that come with the node, the one the others are brought to first."""
    groups = answer_of("catalog", "GET", "synonyms/shipped")
    show_all([{"concept": group[0], "terms": group[1:] if Mode.json else " ".join(group[1:])} for group in groups], ["concept", "terms"])


@synonym.command("put")
def synonym_put(
    term: str, concept: Annotated[str, typer.Argument(help="what it means; the term itself takes a shipped synonym out")]
) -> None:
    """Say what a term means on this node (authority)."""
    send("catalog", "PUT", _synonym(term), concept=concept)


@synonym.command("remove")
def synonym_remove(term: str) -> None:
    """Forget what a term means on this node; a shipped synonym is in force again (authority)."""
    answer_of("catalog", "DELETE", _synonym(term))
    show({"term": term, "is_removed": True})


@synonym.command("compare")
def synonym_compare(left: str, right: str) -> None:
    """Compare two names by the synonyms in force."""
    with Client() as client:
        url = f"{client.profile.catalog}/v1/synonyms/comparison"
        found = client.call("GET", url, params={"left": left, "right": right}).json()
    show(found if Mode.json else found | {"reasons": "; ".join(found["reasons"])})


@synonym.command("rekey")
def synonym_rekey() -> None:
    """Bring every indexed name to the words in force, as after a release that ships others (authority)."""
    send("catalog", "POST", "synonyms/rekeying")


def _synonym(term: str) -> str:
    # a slash is no part of the form names are compared by, and cannot stand in a path
    return f"synonyms/{quote(term.replace('/', ''), safe='')}"


@form.command("list")
def form_list(limit: Limit = 50) -> None:
    """List the forms of your organization; the authority sees all."""
    _list("forms", _FORM, limit=limit)


@form.command("show")
def form_show(form_id: UUID) -> None:
    """Show a form with what the catalogue has of each item."""
    _show_form(answer_of("catalog", "GET", f"forms/{form_id}"))


@form.command("enter")
def form_enter(
    name: str,
    file: Annotated[Path, typer.Argument(help="the items: .txt (a name a line), .csv or .json", exists=True, dir_okay=False)],
    organization: Annotated[UUID | None, typer.Option(help="whose form it is; yours when left out")] = None,
) -> None:
    """Enter a form and learn which of its items need not be collected again, which are doubtful, which are new."""
    _show_form(answer_of("catalog", "POST", "forms", name=name, items=form_file.items_of(file), organization_id=organization))


@form.command("compare")
def form_compare(form_id: UUID) -> None:
    """Compare a form with the catalogue as it is now."""
    _show_form(answer_of("catalog", "POST", f"forms/{form_id}/comparison"))


@form.command("repeats")
def form_repeats(division: Annotated[str | None, typer.Option(help="division code")] = None, limit: Limit = 50) -> None:
    """List the data elements that several organizations of a division collect."""
    _list("reports/repeat-collection", _REPEAT, division=division, limit=limit)


def _show_form(found: dict[str, Any]) -> None:
    if Mode.json:
        show(found)
        return
    say(
        f"{found['held_count']} held and shared: ask for them · {found['withheld_count']} held and not shared · "
        f"{found['doubtful_count']} doubtful · {found['new_count']} new"
    )
    rows = []
    for finding in found["findings"]:
        best = finding["matches"][0] if finding["matches"] else {}
        row = {"organization": best.get("organization_name"), "resource": best.get("resource_name"), "item": best.get("item_name")}
        rows.append({"name": finding["name"], "outcome": finding["outcome"], "similarity": best.get("similarity"), **row})
    show_all(rows, _FINDING, title=f"form {found['form_id']}")
