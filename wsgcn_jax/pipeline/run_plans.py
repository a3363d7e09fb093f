"""Working on planned batches: threads, progress, and what does not fit into the memory."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import numpy as np
from etils.epath import Path

from wsgcn_jax import interrupt
from wsgcn_jax.distributed import any_across_hosts, host_shard
from wsgcn_jax.pipeline.inference import Plan
from wsgcn_jax.pipeline.progress import Progress
from wsgcn_jax.types import Skipped

_REMEDY = "make the photo smaller, or see photos at a smaller data.longer_side"


def _batches_at_once() -> int:
    """Returns how many batches keep a machine busy: one computes, others are read and written."""
    return 2 if jax.default_backend() == "cpu" else 4


def run_plans(
    plans: Sequence[Plan],
    outputs: Callable[[int], Path],
    work: Callable[[Plan], None],
    what: str,
) -> list[int]:
    """Does this host's share of the batches, as far as an output is missing.

    Some are worked on side by side, each in a thread of its own: what only one at a time may use,
    like the device, is `work`'s to guard. A batch for which there is not enough memory is worked
    on at the end, photo by photo.

    Args:
        plans: all batches.
        outputs: index of a photo -> the file that is written last for it.
        work: computes and writes one batch.
        what: a word for the progress line.

    Returns:
        Photos that do not even fit alone, on whichever host; nothing is written for them.

    Raises:
        Interrupted: somebody asked the command to end.
    """
    todo = [p for p in host_shard(plans) if not all(outputs(i).exists() for i in p.indices)]
    missed: list[Plan] = []
    at_once = _batches_at_once()
    pool = ThreadPoolExecutor(at_once)
    try:
        done_of: Counter[tuple[int, int]] = Counter()  # batches of a shape
        running = [pool.submit(work, plan) for plan in todo]
        with Progress(what, sum(p.real for p in todo), work=sum(map(_pixels, todo))) as meter:
            for done, plan in zip(running, todo, strict=True):
                if _ran_out_of_memory(done.result):
                    missed.append(plan)
                # The batches beside a shape's first one wait for its program, too.
                compiled = done_of[plan.shape] < at_once
                meter.advance(plan.real, work=_pixels(plan), compiled=compiled)
                done_of[plan.shape] += 1
                interrupt.check()
    finally:
        pool.shutdown(cancel_futures=True)
    alone = {Plan(plan.shape, (i,), 1) for plan in missed for i in plan.indices}
    failed = np.zeros(1 + max((i for plan in plans for i in plan.indices), default=0), bool)
    for plan in sorted(alone):
        interrupt.check()
        index = plan.indices[0]
        failed[index] = not outputs(index).exists() and _ran_out_of_memory(partial(work, plan))
    return [int(index) for index in np.flatnonzero(any_across_hosts(failed))]


def _pixels(plan: Plan) -> int:
    return len(plan.indices) * plan.shape[0] * plan.shape[1]


def _ran_out_of_memory(work: Callable[[], Any]) -> bool:
    """Does some work; tells whether it needed more memory than there is."""
    try:
        work()
    except MemoryError:
        return True
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return True
    return False


def too_large(names: Sequence[str], indices: Sequence[int]) -> list[Skipped]:
    """Says of photos that they do not fit into the memory, and what helps."""
    return [
        Skipped(names[index], f"{names[index]}: does not fit into the memory; {_REMEDY}")
        for index in indices
    ]
