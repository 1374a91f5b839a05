"""A decorated function: an orca."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

import attrs

from orcastra_core.app.handle import Handle
from orcastra_core.app.options import SubmitOptions
from orcastra_core.model.envelope import Dedup
from orcastra_core.model.errors import InvalidOption
from orcastra_core.runtime.task_spec import TaskSpec

if TYPE_CHECKING:
    from typing import Self

P = ParamSpec("P")
R = TypeVar("R")

UNSET: Any = attrs.NOTHING


@attrs.frozen
class Call(Generic[R]):
    """A task with its arguments, not submitted yet: for ``submit_many`` and schedules.

    Made by ``Orca.call``; the arguments are bound and written when it is submitted.
    """

    spec: TaskSpec
    options: SubmitOptions
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class Submitter(Protocol):
    """What an orca submits through: the app."""

    async def submit_call(self, call: Call[R], /) -> Handle[R]:
        """Submit one call."""
        ...

    async def submit_call_within(self, transaction: object, call: Call[R], /) -> Handle[R]:
        """Submit one call in a transaction of the caller's."""
        ...


class Orca(Generic[P, R]):
    """A task: a function that can be submitted instead of called.

    Calling it runs the function right here, as if it had never been
    decorated. ``submit`` takes the same parameters and has them checked by the
    type checker.
    """

    def __init__(self, app: Submitter, spec: TaskSpec, options: SubmitOptions) -> None:
        self._app = app
        self.spec: TaskSpec = spec
        self._options = options
        self.__wrapped__: Callable[..., Any] = spec.function
        self.__name__: str = getattr(spec.function, "__name__", spec.name)
        self.__qualname__: str = getattr(spec.function, "__qualname__", spec.name)
        self.__module__ = spec.function.__module__
        self.__doc__ = spec.function.__doc__

    @property
    def name(self) -> str:
        """What messages name this task by."""
        return self.spec.name

    async def submit(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Submit the task; return when it is stored.

        Concurrent submits share round trips by themselves. Cancelled before its
        batch is sent, it is withdrawn.

        Returns:
            A handle on the task, or on the one that holds the dedup key.

        Raises:
            InvalidArguments, SerializationError, BodyTooLarge, Unsupported: Nothing was stored.
            PublishRefused: The broker said why.
            PublishUnknown: The store gave no answer for 10 seconds.
            WrongLoop: The app runs in another event loop, or not at all.
        """
        return await self._app.submit_call(Call(self.spec, self._options, args, kwargs))

    async def submit_within(self, transaction: object, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Submit the task in a transaction of yours: it is there once you commit, and never if you roll back.

        Until you have committed, nobody runs it; the handle may be awaited after that. With a dedup key
        that another open transaction has just taken, this waits for its end.

        Args:
            transaction: Your connection to the broker's own store, with a transaction begun on it. For
                Postgres: asyncpg's, psycopg's AsyncConnection, SQLAlchemy's AsyncConnection or AsyncSession.
            *args: The task's arguments.
            **kwargs: The task's arguments.

        Raises:
            InvalidArguments, SerializationError, BodyTooLarge: Nothing was stored.
            Unsupported: The broker does not offer Cap.TX_PUBLISH.
            InvalidOption: It is no such connection, or no transaction is open on it.
            PublishRefused: The broker said why.
            BrokerError: Roll your transaction back.
            WrongLoop: The app runs in another event loop, or not at all.
        """
        return await self._app.submit_call_within(transaction, Call(self.spec, self._options, args, kwargs))

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return the task with these arguments, for ``app.submit_many`` and ``app.schedule``."""
        return Call(self.spec, self._options, args, kwargs)

    def options(
        self,
        *,
        queue: str = UNSET,
        delay: float | timedelta | None = UNSET,
        at: datetime = UNSET,
        priority: int = UNSET,
        dedup: str | Dedup | None = UNSET,
        order_by: str | None = UNSET,
        expires: float | timedelta | datetime = UNSET,
        timeout: float | timedelta = UNSET,
        result_ttl: float | timedelta = UNSET,
        headers: Mapping[str, Any] = UNSET,
    ) -> Self:
        """Return a copy of this task with other options; the task itself never changes.

        Args:
            queue: Where it waits.
            delay: Not before this many seconds from the submit; None for no delay.
            at: Not before this aware datetime.
            priority: Larger is served first; the broker's limits say how far.
            dedup: A key that at most one task of the queue holds: until it has
                ended for good, or as a ``Dedup`` says.
            order_by: Tasks with the same ordering key run one after another.
            expires: Not to be started later than this after the submit, or after this aware datetime.
            timeout: Seconds an attempt may take; 0 for no bound.
            result_ttl: Seconds its result is kept.
            headers: Extensions, named ``x-<dist>-<name>``.

        Raises:
            InvalidOption: One of them is out of its range; names the task and the option.
        """
        given = {name: value for name, value in locals().items() if name != "self" and value is not UNSET}
        try:
            changed = self._options.changed(given)
        except ValueError as error:
            raise InvalidOption(f"task {self.name}: {error}") from None
        return type(self)(self._app, self.spec, changed)

    def __repr__(self) -> str:
        return f"<Orca {self.name}>"


class AsyncOrca(Orca[P, R]):
    """An orca around an ``async def`` function."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function right here."""
        value: R = await self.spec.function(*args, **kwargs)
        return value


class SyncOrca(Orca[P, R]):
    """An orca around a plain function; a worker runs it in a thread."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function right here."""
        value: R = self.spec.function(*args, **kwargs)
        return value
