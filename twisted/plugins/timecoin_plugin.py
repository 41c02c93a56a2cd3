"""Makes ``twistd timecoin`` known to Twisted; options and service are in timecoin.node.tap."""

from twisted.application.service import ServiceMaker

timecoin = ServiceMaker("TIME Coin node", "timecoin.node.tap", "A TIME Coin masternode", "timecoin")
