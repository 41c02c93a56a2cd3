"""``twistd timecoin``: the command line of a node and its life as a process.

Exit status: 0 after SIGTERM, SIGINT or RPC ``stop``; 64 for a setting that cannot be used, 1 for
anything else, each with one line on stderr.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from twisted.application.service import IServiceCollection
from twisted.internet.error import CannotListenError
from twisted.internet.posixbase import PosixReactorBase
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from timecoin import __version__
from timecoin.chain.headers import CheckpointError
from timecoin.consensus.journal import JournalError
from timecoin.node import values
from timecoin.node.clocks import keep_steady
from timecoin.node.config import OPTIONS, PROGRAM, ConfigError, NodeConfig, Option, load_config
from timecoin.node.genesisfile import GenesisFileError
from timecoin.node.keyfiles import KeyFileError
from timecoin.node.log.levels import Levels
from timecoin.node.log.output import LogOutput, is_journal
from timecoin.node.ordered import OrderedMultiService
from timecoin.node.preflight import Prepared, StartError, prepare
from timecoin.node.services import compose
from timecoin.node.validatorlock import ValidatorLockError
from timecoin.node.walletfile import PASSPHRASE_VARIABLE, WalletStartError
from timecoin.rpc.requestid import current_request
from timecoin.rpc.service import RpcStartError
from timecoin.store.engine import StoreError

EX_USAGE = 64
"""Exit status for a wrong command line or configuration (sysexits.h)."""
EX_FAILURE = 1
DEFAULT_LOG_FILE = "twistd.log"
YOUNG_OBJECTS = 50_000
"""New objects between two runs of the cycle collector, 700 by default: a node allocates so fast
that much of its time went into looking for cycles among values that cannot have any."""

_log = Logger("timecoin.node")

START_ERRORS = (
    StartError,
    StoreError,
    CheckpointError,
    KeyFileError,
    GenesisFileError,
    RpcStartError,
    WalletStartError,
    ValidatorLockError,
    CannotListenError,
)
"""What an operator can mend; anything else at the start is a bug and shows its traceback."""


def refuse(reason: object, status: int) -> NoReturn:
    """End this process with one line on stderr (the real one: twistd may have replaced it)."""
    tell(reason)
    raise SystemExit(status)


def tell(reason: object) -> None:
    """Write one line to the real stderr."""
    line = " ".join(str(reason).split())
    print(f"{PROGRAM}: {line}", file=sys.__stderr__, flush=True)


class Options(UsageOptions):
    """The settings of :mod:`timecoin.node.config` as options of ``twistd timecoin``."""

    synopsis = "[options]"
    longdesc = "A node of the TIME Coin network. Each option is also a key in timecoin.conf."
    optParameters = [
        ["config", None, None, "configuration file [DATADIR/timecoin.conf]"],
        *([option.name, None, None, option.help] for option in OPTIONS if not option.repeated),
    ]

    config: NodeConfig

    def __init__(self) -> None:
        super().__init__()
        self.repeated: dict[str, list[str]] = {}

    def opt_version(self) -> NoReturn:
        """Display the version of timecoin and exit."""
        print(f"timecoin {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: list[str] | None = None) -> None:
        """Read command line and configuration; what is wrong ends the process with status 64."""
        try:
            super().parseOptions(options)
            config_path = self["config"]
            self.config = load_config(
                self._given(), None if config_path is None else values.path(config_path)
            )
        except (UsageError, ConfigError) as error:
            refuse(error, EX_USAGE)

    def _given(self) -> dict[str, list[str]]:
        single = {
            option.name: [self[option.name]]
            for option in OPTIONS
            if not option.repeated and self[option.name] is not None
        }
        return single | self.repeated


def _repeated(option: Option) -> Callable[[Options, str], None]:
    def take(self: Options, value: str) -> None:
        self.repeated.setdefault(option.name, []).append(value)

    take.__doc__ = f"{option.help}; may be repeated"
    return take


for _option in OPTIONS:
    if _option.repeated:  # Twisted finds an option with a method of its own by its name only
        setattr(Options, f"opt_{_option.name}", _repeated(_option))


class NodeService(OrderedMultiService):
    """All parts of a node; they are made when it starts, after twistd has become a daemon."""

    def __init__(
        self, config: NodeConfig, prepared: Prepared, log_output: LogOutput | None
    ) -> None:
        super().__init__()
        self._config = config
        self._prepared = prepared
        self._log_output = log_output
        self._ending = False

    def setServiceParent(self, parent: IServiceCollection) -> None:
        """Join twistd's application, and give it our log observer."""
        if self._log_output is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_output)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Make and start every part; a part that cannot start ends the process with status 1."""
        from twisted.internet import reactor

        assert isinstance(reactor, PosixReactorBase)
        self._reactor = reactor
        keep_steady(reactor)
        try:
            for child in compose(
                self._config, self._prepared, reactor, self._log_output, self.crash, self.stop
            ):
                self.addService(child)
            super().startService()
        except START_ERRORS as error:
            refuse(error, EX_FAILURE)
        gc.freeze()  # what has been loaded by now stays
        gc.set_threshold(YOUNG_OBJECTS)
        reactor.callWhenRunning(self._take_signals)

    def stop(self) -> None:
        """End the process in order, with exit status 0."""
        if not self._ending:
            self._ending = True
            _log.info("stopping")
            self._reactor.callLater(0, self._reactor.stop)

    def crash(self, error: Exception) -> None:
        """End the process with status 1: a fault of this program or of the disk."""
        _log.failure("the node stops", Failure(error))
        if isinstance(error, JournalError):
            tell(f"the journal in {self._config.datadir} cannot be used: {error}")
        elif isinstance(error, StoreError):
            tell(f"the node stops: {error}")
        else:
            tell(f"internal error, the node stops: {type(error).__name__}: {error}")
        atexit.register(_exit_with_failure)
        self.stop()

    def _take_signals(self) -> None:
        """Twisted would end by the signal itself; asked to stop, a node that has stopped is 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_hangup)

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        if self._log_output is not None:
            self._reactor.callFromThread(self._log_output.reopen)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self.stop)


def _exit_with_failure() -> None:
    """twistd ends with status 0 whenever its reactor was stopped; only this comes later."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(EX_FAILURE)


def _log_output(twistd: Any, config: NodeConfig) -> LogOutput | None:
    """Where twistd's own options send the log; None if they name another observer."""
    if twistd is None or twistd.get("logger") or twistd.get("syslog"):
        return None
    name = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else DEFAULT_LOG_FILE)
    out = sys.stdout if name == "-" else LogFile.fromFullPath(name)
    format_name = config.log_format
    if format_name is None:
        journal = name == "-" and is_journal(os.environ, sys.stdout)
        format_name = "journal" if journal else "text"
    output = LogOutput(out, Levels(config.log_levels), format_name, current_request)
    output.redaction.add(os.environ.get(PASSPHRASE_VARIABLE, ""))
    return output


def makeService(options: Options) -> NodeService:
    """The service of a node; a start that cannot succeed ends here, with nothing changed."""
    try:
        prepared = prepare(options.config)
    except StartError as error:
        refuse(error, EX_FAILURE)
    return NodeService(options.config, prepared, _log_output(options.parent, options.config))
