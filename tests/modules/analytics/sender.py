"""Stands where delivery would: it tells what becomes of messages, and nobody asks it anything."""

from martech.kernel.db import Transaction, module_metadata
from martech.kernel.module import Module
from martech.modules.delivery.contract import Delivery


class Sender:
    def __init__(self, tx: Transaction) -> None:
        self.tx = tx


module = Module(port=Delivery, service=Sender, tables=module_metadata("delivery"))
