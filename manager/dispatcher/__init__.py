"""Manager ↔ worker, the manager's side: assignments down, statuses and signs of life up, logs on request.

Every manager serves sessions from its own view; what a session changes goes through the store like all else.
"""

from manager.dispatcher.dispatcher import Dispatcher

__all__ = ["Dispatcher"]
