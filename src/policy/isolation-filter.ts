// Which syscalls a worker may make: an allowlist for its whole life, and a narrower list once its framework is loaded.

/**
 * What the filter answers. An errno lets libraries fall back; `pretend` answers success and does nothing; `kill` is for
 * calls that only an attack makes.
 */
export type Verdict = 'allow' | 'pretend' | 'kill' | { readonly errno: keyof typeof ERRNO };

export const ERRNO = { EPERM: 1, EACCES: 13, ENOTTY: 25, ENOSYS: 38, EAFNOSUPPORT: 97 } as const;

/** Looks at the low 32 bits of one argument: every argument tested here is an int in the kernel. */
export interface ArgumentTest {
  readonly argument: 0 | 1 | 2 | 3 | 4 | 5;
  /** `self` stands for the worker's process id, filled in by the process that loads the filter. */
  readonly match: { readonly oneOf: readonly (number | 'self')[] } | { readonly anyBit: number };
  readonly verdict: Verdict;
}

/** The first test that matches decides. */
export interface ArgumentRule {
  readonly tests: readonly ArgumentTest[];
  readonly otherwise: Verdict;
}

export interface FilterProfile {
  readonly rules: ReadonlyMap<string, Verdict | ArgumentRule>;
  /** For calls in the table without a rule. */
  readonly known: Verdict;
  /** For numbers the table does not have: newer than this server. */
  readonly unknown: Verdict;
}

export interface FilterOptions {
  readonly allowSubprocess: boolean;
  readonly allowUnixSockets: boolean;
  /** Off where no memory cgroup counts what a memfd holds. */
  readonly allowMemfd: boolean;
  readonly gpu: boolean;
  /** Without a pid namespace or a uid of its own, calls that take a process id may only name the worker itself. */
  readonly pinToSelf: boolean;
  /** Without a pid namespace the server ends a worker by its process group: nobody may leave it. */
  readonly keepInGroup: boolean;
  /**
   * The worker has the server's uid, and so owns what the server owns. Landlock refuses it the contents of files, not
   * their permissions and times: changing those only seems to work. (Unpacking and copying files try to.)
   */
  readonly sharesOwner: boolean;
  /** The worker puts nothing further on itself, so what only a start needs is gone from its first instruction. */
  readonly isFinal: boolean;
}

const EPERM = { errno: 'EPERM' } as const;
const EACCES = { errno: 'EACCES' } as const;
const ENOSYS = { errno: 'ENOSYS' } as const;
const ENOTTY = { errno: 'ENOTTY' } as const;
const EAFNOSUPPORT = { errno: 'EAFNOSUPPORT' } as const;

/** What CPython, PyTorch, OpenMP, V8 and onnxruntime need, by purpose. */
const ALLOWED = `
  read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup dup2 dup3 fcntl
  flock fsync fdatasync sync_file_range ftruncate truncate fallocate fadvise64 readahead copy_file_range sendfile

  open openat openat2 creat stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink
  readlinkat getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link
  linkat symlink symlinkat chmod fchmod fchmodat fchmodat2 utime utimes utimensat futimesat umask
  getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr cachestat

  mmap munmap mremap mprotect madvise brk msync mincore mlock mlock2 munlock membarrier
  pkey_alloc pkey_free pkey_mprotect mseal

  rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo
  rt_tgsigqueueinfo sigaltstack kill tgkill tkill pause restart_syscall signalfd signalfd4

  futex futex_waitv futex_wake futex_wait futex_requeue set_robust_list get_robust_list rseq set_tid_address

  gettid getpid getppid getpgid getpgrp getsid setpgid setsid exit exit_group wait4 waitid execve execveat arch_prctl
  getuid geteuid getgid getegid getresuid getresgid getgroups capget
  sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_get_priority_max
  sched_get_priority_min sched_rr_get_interval sched_getattr getpriority getcpu
  uname sysinfo getrusage getrandom getrlimit setrlimit prlimit64

  clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times timer_create timer_settime timer_gettime
  timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime getitimer setitimer alarm

  poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2
  pipe pipe2

  shutdown getsockopt getsockname getpeername
  landlock_create_ruleset landlock_add_rule landlock_restrict_self`;

/**
 * Libraries ask for these, and take "not implemented" for an answer: NUMA placement, io_uring, namespace listings.
 * Watches over files (inotify) would tell when others open what lies on this machine for everybody; splice and tee have
 * written to files that were opened for reading (CVE-2022-0847), and whoever uses them can copy instead.
 */
const ABSENT = `splice tee inotify_init inotify_init1 inotify_add_watch inotify_rm_watch mbind set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node statmount listmount
  lsm_get_self_attr io_uring_setup io_uring_enter io_uring_register`;

/** What only start-up needs. Gone before model code runs. (arch_prctl stays: the C library of every new program starts with it.) */
const START_UP_ONLY = `execveat seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
  personality pkey_alloc pkey_free pkey_mprotect signalfd signalfd4`;

/**
 * NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET; and PARENT: a child of the worker's own parent, which is
 * the server, would be in nobody's tree, and a zombie for ever.
 */
const CLONE_FORBIDDEN = 0x7e028080;
const CLONE_THREAD = 0x00010000;
/** REUSEADDR SNDBUF RCVBUF KEEPALIVE PASSCRED RCVTIMEO SNDTIMEO; not the ones that attach packet filters. */
const SOCKET_OPTIONS = [2, 7, 8, 9, 16, 20, 21];
const AF_UNIX = 1;
const MSG_OOB = 1;
/** NEW_LISTENER, and the flags that only make sense with it: a listener could answer its own filter's questions. */
const SECCOMP_LISTENER_FLAGS = 0x08 | 0x20;
/** `personality(0xffffffff)` only asks. */
const PERSONALITY_QUERY = 0xffffffff;
/** PDEATHSIG 1/2, DUMPABLE 3/4, NAME 15/16, SECCOMP 21/22, CAPBSET_READ 23, NO_NEW_PRIVS 38/39, THP 41/42, SET_VMA. */
const PRCTL_OPTIONS = [1, 2, 3, 4, 15, 16, 21, 22, 23, 38, 39, 40, 41, 42, 0x53564d41];
/**
 * Once a worker is set up, nobody calls off the end that the stage has agreed on with the kernel; whoever wants one for its
 * children (`torch.multiprocessing.spawn` does, and fails without) has it anyway, with the group. No programs for its JIT.
 */
const PRCTL_AFTER_START: readonly ArgumentTest[] = [
  { argument: 0, match: { oneOf: [1] }, verdict: 'pretend' },
  { argument: 0, match: { oneOf: [22] }, verdict: EPERM },
];
/** SETOWN SETSIG SETOWN_EX: signals to whom kill may not reach. SETLEASE NOTIFY: hearing when others open a file. */
const FCNTL_COMMANDS = [8, 10, 15, 1024, 1026];
/** What changes permissions and times of files. */
const OWNER_CALLS = `chmod fchmod fchmodat fchmodat2 utime utimes utimensat futimesat`;
/** TCGETS TIOCGPGRP TIOCGWINSZ FIONREAD FIONBIO FIONCLEX FIOCLEX FIOASYNC: what a C library asks of any descriptor. */
const IOCTL_REQUESTS = [0x5401, 0x540f, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451, 0x5452];
/** TIOCSTI, TIOCLINUX, TIOCSETD: even with a GPU, whose driver needs requests without end, nobody types into a terminal. */
const TERMINAL_INJECTION = [0x5412, 0x541c, 0x5423];

/** The filter that is in place before the worker's first instruction. */
export function workerFilter(options: FilterOptions): FilterProfile {
  const rules = new Map<string, Verdict | ArgumentRule>();
  for (const name of words(ALLOWED)) rules.set(name, 'allow');
  for (const name of words(ABSENT)) rules.set(name, ENOSYS);

  // clone3 keeps its flags behind a pointer, where no filter can look; C libraries fall back to clone.
  rules.set('clone3', ENOSYS);
  rules.set('clone', cloneRule(options.allowSubprocess));
  for (const name of ['fork', 'vfork']) rules.set(name, options.allowSubprocess ? 'allow' : EPERM);

  rules.set('memfd_create', options.allowMemfd ? 'allow' : ENOSYS);
  const prctl = only(0, PRCTL_OPTIONS, EPERM);
  rules.set('prctl', options.isFinal ? { ...prctl, tests: [...PRCTL_AFTER_START, ...prctl.tests] } : prctl);
  rules.set('fcntl', except(1, FCNTL_COMMANDS));
  rules.set('personality', only(0, [PERSONALITY_QUERY], EPERM));
  rules.set('seccomp', unlessBit(1, SECCOMP_LISTENER_FLAGS));
  rules.set(
    'ioctl',
    options.gpu
      ? { tests: [{ argument: 1, match: { oneOf: TERMINAL_INJECTION }, verdict: EPERM }], otherwise: 'allow' }
      : only(1, IOCTL_REQUESTS, ENOTTY),
  );
  addSocketRules(rules, options);
  if (options.pinToSelf) pin(rules);
  if (options.keepInGroup) for (const name of ['setsid', 'setpgid']) rules.set(name, EPERM);
  if (options.sharesOwner) for (const name of words(OWNER_CALLS)) rules.set(name, 'pretend');
  if (options.isFinal) for (const name of words(START_UP_ONLY)) rules.set(name, EPERM);
  return { rules, known: EPERM, unknown: ENOSYS };
}

/** The second filter, put on by the worker between its framework and the model's code. It only takes away. */
export function innerFilter(options: Pick<FilterOptions, 'allowSubprocess'>): FilterProfile {
  const rules = new Map<string, Verdict | ArgumentRule>();
  for (const name of words(START_UP_ONLY)) rules.set(name, EPERM);
  rules.set('prctl', { tests: PRCTL_AFTER_START, otherwise: 'allow' });
  if (!options.allowSubprocess) {
    for (const name of ['execve', 'fork', 'vfork']) rules.set(name, EPERM);
    rules.set('clone', cloneRule(false));
  }
  return { rules, known: 'allow', unknown: ENOSYS };
}

function cloneRule(allowSubprocess: boolean): ArgumentRule {
  const forbidden: ArgumentTest = { argument: 0, match: { anyBit: CLONE_FORBIDDEN }, verdict: EPERM };
  const threads: ArgumentTest = { argument: 0, match: { anyBit: CLONE_THREAD }, verdict: 'allow' };
  return allowSubprocess
    ? { tests: [forbidden], otherwise: 'allow' }
    : { tests: [forbidden, threads], otherwise: EPERM };
}

/** Frames travel over an inherited socket: a worker never needs to make one that has a name. */
function addSocketRules(rules: Map<string, Verdict | ArgumentRule>, options: FilterOptions): void {
  const unixOnly = only(0, [AF_UNIX], EAFNOSUPPORT);
  rules.set('socketpair', unixOnly);
  rules.set('setsockopt', only(2, SOCKET_OPTIONS, EPERM));
  // Out-of-band data on unix sockets has a history of kernel bugs, and nobody uses it.
  for (const name of ['sendto', 'recvfrom']) rules.set(name, unlessBit(3, MSG_OOB));
  for (const name of ['sendmsg', 'recvmsg']) rules.set(name, unlessBit(2, MSG_OOB));
  if (options.allowUnixSockets || options.gpu) {
    rules.set('socket', unixOnly);
    for (const name of ['connect', 'bind', 'listen', 'accept', 'accept4']) rules.set(name, 'allow');
  } else {
    rules.set('socket', EACCES);
  }
}

function pin(rules: Map<string, Verdict | ArgumentRule>): void {
  for (const name of ['prlimit64', 'sched_setaffinity', 'sched_getaffinity', 'kill', 'rt_sigqueueinfo']) {
    rules.set(name, only(0, name.startsWith('rt_') ? ['self'] : [0, 'self'], EPERM));
  }
  for (const name of ['tgkill', 'rt_tgsigqueueinfo']) rules.set(name, only(0, ['self'], EPERM));
  rules.set('tkill', EPERM);
}

function only(
  argument: ArgumentTest['argument'],
  oneOf: readonly (number | 'self')[],
  otherwise: Verdict,
): ArgumentRule {
  return { tests: [{ argument, match: { oneOf }, verdict: 'allow' }], otherwise };
}

function except(argument: ArgumentTest['argument'], oneOf: readonly number[]): ArgumentRule {
  return { tests: [{ argument, match: { oneOf }, verdict: EPERM }], otherwise: 'allow' };
}

function unlessBit(argument: ArgumentTest['argument'], anyBit: number): ArgumentRule {
  return { tests: [{ argument, match: { anyBit }, verdict: EPERM }], otherwise: 'allow' };
}

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}
