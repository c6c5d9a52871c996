"""Real training jobs that a test starts, kills and starts again. Standard library only."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

RUN = """\
model: {num_layers: 2, hidden_size: 16, num_attention_heads: 2}
data: {source: indexed, data_path: [BOOK], seq_length: 16}
training: {micro_batch_size: 1, global_batch_size: 12, num_threads: 1, peak_tflops: 1, eval_iters: 1, timeline_step: 0,
           tensorboard: false}
optimizer: {lr: 1.0e-3, lr_decay_style: constant}
checkpoint: {save_interval: 3, keep_last: 2}
precision: {dtype: fp64}
"""
DEADLINE = 60  # seconds in which a job must end after one of its processes was killed
PATIENCE = 280  # seconds for a job that runs to its end on a busy machine


class Workshop:
    """A folder with a small data set and a run file, in which jobs run. The learning rate is constant, so a longer run
    begins with the steps of a shorter one."""

    def __init__(self, trireme, mpirun, in_memory=False):
        self.trireme = os.path.abspath(trireme)
        self.mpirun = [mpirun, "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1",
                       "--mca", "odls_base_sigkill_timeout", "0"]
        memory = "/dev/shm" if in_memory and os.access("/dev/shm", os.W_OK) else None  # where fsync costs nothing
        self.folder = tempfile.mkdtemp(prefix="trireme-fault-", dir=memory)
        self.environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                                OMP_NUM_THREADS="1")
        letters = random.Random(1)
        words = ["".join(letters.choice("abcdefghijklmnop") for _ in range(letters.randint(1, 7))) for _ in range(300)]
        with open(self.path("book.txt"), "w", encoding="utf-8") as file:
            file.write(" ".join(letters.choice(words) for _ in range(6000)))
        with open(self.path("run.yaml"), "w", encoding="utf-8") as file:
            file.write(RUN.replace("BOOK", self.path("book")))
        self.command("prepare", "--input", "book.txt", "--train-tokenizer", "character", "--output", "book")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def command(self, *arguments, code=0):
        """Runs `trireme` alone; its output. Another exit code than `code` is an error."""
        result = subprocess.run([self.trireme, *arguments], cwd=self.folder, env=self.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
        if result.returncode != code:
            raise AssertionError(f"exit code {result.returncode} instead of {code}: {arguments}\n{result.stdout}")
        return result.stdout

    def start(self, output, iterations, ranks=1, settings=(), environment=None):
        """Starts `trireme train` on `ranks` processes, under mpirun where they are several."""
        command = [self.trireme, "train", "run.yaml", "--set", f"output_dir={output}", "--set", f"train_iters={iterations}"]
        for setting in settings:
            command += ["--set", setting]
        if ranks > 1:
            command = [*self.mpirun, "-n", str(ranks), *command]
        return Job(command, self.folder, dict(self.environment, **(environment or {})), ranks)

    def train(self, output, iterations, ranks=1, settings=(), environment=None, code=0):
        """Runs a job to its end; its output."""
        job = self.start(output, iterations, ranks, settings, environment)
        given = job.wait()
        if given != code:
            raise AssertionError(f"exit code {given} instead of {code}: {job.command}\n{job.output()}")
        return job.output()

    def steps(self, output):
        """What every step of a run computed: (step, loss, learning rate, norm of the gradients, tokens)."""
        result = []
        with open(self.path(output, "metrics.jsonl"), encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                if "loss" in record:
                    result.append(tuple(record[key] for key in ("step", "loss", "lr", "grad_norm", "tokens")))
        return result

    def committed(self, output):
        """Steps of the committed checkpoints, ascending."""
        return sorted(int(name[5:]) for name in self.names(output) if re.fullmatch(r"step-\d{8,}", name))

    def leftovers(self, output):
        """What is not committed."""
        return [name for name in self.names(output) if name.startswith(".tmp-")]

    def names(self, output):
        folder = self.path(output, "checkpoints")
        return os.listdir(folder) if os.path.isdir(folder) else []

    def verify(self, output):
        """Every byte of every committed checkpoint is right."""
        if not self.committed(output):
            return
        for line in self.command("checkpoint", "verify", output).splitlines():
            if not line.endswith(": ok"):
                raise AssertionError(line)


class Job:
    """A running command with its processes."""

    def __init__(self, command, folder, environment, ranks):
        self.command = command
        self.ranks = ranks
        descriptor, self.log = tempfile.mkstemp(prefix="log-", dir=folder)
        # A session of its own: nothing that is sent to the test reaches it, and the other way round.
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=descriptor,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        os.close(descriptor)
        self.seen = set()  # every process of a rank that was ever found

    def output(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read()

    def running(self):
        return self.process.poll() is None

    def rank_processes(self):
        """Process of each rank that has one, by rank."""
        if self.ranks == 1:
            return {0: self.process.pid} if self.running() else {}
        found = {}
        for child in children_of(self.process.pid):
            rank = environment_of(child).get("OMPI_COMM_WORLD_RANK")
            if rank is not None:
                found[int(rank)] = child
        self.seen.update(found.values())
        return found

    def wait_for_ranks(self):
        while self.running() and len(self.rank_processes()) < self.ranks:
            time.sleep(0.002)
        return self.rank_processes()

    def wait(self, deadline=PATIENCE):
        """Exit code once the command and all ranks have ended."""
        try:
            code = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill(["everyone"])
            raise AssertionError(f"no end within {deadline} s: {self.command}\n{self.output()}") from None
        end = time.monotonic() + deadline
        while any(alive(process) for process in self.seen):
            if time.monotonic() > end:
                self.kill(["everyone"])
                raise AssertionError(f"ranks outlive mpirun by {deadline} s: {self.command}\n{self.output()}")
            time.sleep(0.005)
        return code

    def kill(self, victims):
        """SIGKILL to ranks (numbers), "mpirun", or "everyone". Returns whether all of them were alive."""
        ranks = self.rank_processes()
        if "everyone" in victims:
            victims = ["mpirun", *ranks]
        processes = [self.process.pid if victim == "mpirun" else ranks.get(victim) for victim in victims]
        all_alive = self.running() and None not in processes
        for process in processes:
            if process is not None:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    all_alive = False
        return all_alive


def read_proc(process, name):
    try:
        with open(f"/proc/{process}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def children_of(process):
    return [int(child) for child in read_proc(process, f"task/{process}/children").split()]


def environment_of(process):
    pairs = (entry.split(b"=", 1) for entry in read_proc(process, "environ").split(b"\0") if b"=" in entry)
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, value in pairs}


def alive(process):
    """Whether it runs; a zombie does not."""
    stat = read_proc(process, "stat")
    return bool(stat) and stat.rsplit(b")", 1)[1].split()[0] not in (b"Z", b"X")
