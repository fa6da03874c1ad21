"""The limit: how many RSA-2048 signatures two processes make a second, doing nothing else."""

import multiprocessing
import time
from multiprocessing.queues import Queue

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SECONDS = 1.5
PROCESSES = 2


def sign_rate() -> tuple[float, float]:
    """Measure signatures a second of all processes, and CPU seconds of one signature."""
    context = multiprocessing.get_context("spawn")
    results: Queue[tuple[int, float, float]] = context.Queue()
    processes = [context.Process(target=_sign, args=(results,)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    counted = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    rate = sum(count / wall for count, wall, _ in counted)
    return rate, sum(cpu for _, _, cpu in counted) / sum(count for count, _, _ in counted)


def _sign(results: "Queue[tuple[int, float, float]]") -> None:
    key = rsa.generate_private_key(65537, 2048)
    scheme, digest, octets = padding.PKCS1v15(), hashes.SHA256(), b"x" * 200
    key.sign(octets, scheme, digest)
    count, start, cpu = 0, time.monotonic(), time.process_time()
    while time.monotonic() - start < SECONDS:
        for _ in range(20):
            key.sign(octets, scheme, digest)
        count += 20
    results.put((count, time.monotonic() - start, time.process_time() - cpu))
