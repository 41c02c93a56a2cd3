"""The parts of one finality machine, joined."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.finality.answers import Responder
from timecoin.finality.archive import BlockArchive
from timecoin.finality.batch import Batches
from timecoin.finality.calls import Calls
from timecoin.finality.certificates import Certificates
from timecoin.finality.contests import Contests
from timecoin.finality.context import Context
from timecoin.finality.custody import Custody
from timecoin.finality.double_votes import DoubleVotes
from timecoin.finality.early import Early
from timecoin.finality.emergency import Emergencies
from timecoin.finality.history import History
from timecoin.finality.intake import Intake
from timecoin.finality.receipt_tally import ReceiptTally
from timecoin.finality.receipts import ReceiptBook
from timecoin.finality.resolve import StuckPairs
from timecoin.finality.rounds import Rounds
from timecoin.finality.settlement import Settlement
from timecoin.finality.votes import Voter


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a :class:`~timecoin.finality.machine.Finality` delegates to."""

    context: Context
    contests: Contests
    voter: Voter
    batches: Batches
    certificates: Certificates
    emergencies: Emergencies
    history: History
    intake: Intake
    rounds: Rounds
    responder: Responder
    calls: Calls
    book: ReceiptBook
    tally: ReceiptTally
    early: Early
    custody: Custody
    settlement: Settlement
    archive: BlockArchive


def make_parts(context: Context) -> Parts:
    """Fresh parts around ``context``."""
    contests = Contests(context.params, context.pool)
    voter = Voter(context.chain_id, context.chain, context.pool, contests)
    certificates = Certificates()
    double_votes = DoubleVotes(context, certificates)
    batches = Batches(context, voter, double_votes)
    emergencies = Emergencies(context, certificates, double_votes)
    history = History()
    intake = Intake(context, voter, contests, batches, certificates, emergencies, history)
    book = ReceiptBook(context)
    tally = ReceiptTally()
    early = Early(context)
    custody = Custody(context, certificates, intake, tally, early)
    stuck = StuckPairs(context, voter, contests, intake, certificates)
    return Parts(
        context=context,
        contests=contests,
        voter=voter,
        batches=batches,
        certificates=certificates,
        emergencies=emergencies,
        history=history,
        intake=intake,
        rounds=Rounds(context, contests),
        responder=Responder(context, intake, voter),
        calls=Calls(context, intake, voter, batches),
        book=book,
        tally=tally,
        early=early,
        custody=custody,
        settlement=Settlement(context, certificates, custody, book, tally, early, history),
        archive=BlockArchive(context, certificates, intake, book, emergencies, stuck, custody),
    )
