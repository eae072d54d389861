"""An honest agent with money in its hands: books invoices, pays what its policy lets it pay.

Scripted where a model would choose. Needs LICTOR_KAFKA, LICTOR_ROOT_KEY and LICTOR_AGENT_KEY; see docs/how-to/first-agent.md.
"""

import json
import time
from pathlib import Path

import lictor_agent
from lictor_agent import ToolDenied, tool

INVOICES = [
    {"id": "INV-311", "from": "Paper & Ink Ltd", "amount_eur": 120},
    {"id": "INV-312", "from": "Cloud Nine Hosting", "amount_eur": 310},
    {"id": "INV-313", "from": "Nordwind Furniture", "amount_eur": 4900},
]


@tool("invoices.list")
def list_invoices() -> list[dict[str, object]]:
    """Return the open invoices."""
    return INVOICES


@tool("ledger.write")
def write_ledger(invoice: str, account: str) -> str:
    """Book an invoice."""
    return f"{invoice} booked on {account}"


@tool("payments.create")
def pay(invoice: str, amount_eur: float) -> str:
    """Pay an invoice."""
    return f"{invoice}: {amount_eur} EUR paid"


def main() -> None:
    """Book three invoices; pay the ones the policy allows, report the other."""
    agent = lictor_agent.connect(
        "invoices",
        version="2.1",
        owner="finance@example.com",
        tools=["invoices.list", "ledger.write", "payments.create"],
    )
    with agent.run(principal="erin@example.com") as run:
        run.message("Book and pay this week's invoices.", origin="user")
        for invoice in list_invoices():
            with run.model_call("example-model", provider="scripted") as call:
                time.sleep(0.2)  # a model thinks
                call.used(input_tokens=400, output_tokens=40, cost_usd=0.002)
                call.said(f"Book {invoice['id']}, then pay it.")
            write_ledger(str(invoice["id"]), "4400")
            try:
                pay(str(invoice["id"]), float(str(invoice["amount_eur"])))
            except ToolDenied as denied:
                run.message(f"{invoice['id']} was not paid: {denied}", origin="agent")
        run.message(json.dumps({"done": [invoice["id"] for invoice in INVOICES]}), origin="agent")
    agent.close()


if __name__ == "__main__":
    print(Path(__file__).stem, "starts", flush=True)
    main()
