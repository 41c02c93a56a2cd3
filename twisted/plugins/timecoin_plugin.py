"""Makes ``twistd timecoin`` known to Twisted; the options and the service are in timecoin.node.tap."""

from twisted.application.service import ServiceMaker

timecoin = ServiceMaker("TIME Coin node", "timecoin.node.tap", "A TIME Coin masternode", "timecoin")
