"""Writes files that must be denied: malicious.py OUTPUT_DIRECTORY. Payloads are assembled byte by byte; nothing here runs one."""

import gzip
import io
import json
import lzma
import pickle
import struct
import sys
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings("ignore")
OUT = Path(sys.argv[1])
CANARY = b"touch /tmp/davy-corpus-canary"


def write(name, data):
    path = OUT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


# --- pickle fragments ------------------------------------------------------------------------------------------------


def short(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"\x8c" + bytes([len(data)]) + data


def uni(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def glob(module, name):
    return f"c{module}\n{name}\n".encode()


def sglob(module, name):
    return short(module) + short(name) + b"\x93"


ARG = uni(CANARY)
CALL = ARG + b"\x85R"

# What a payload would import, from the lists of the research report: each must be refused by not being listed.
GADGETS = """
os.system posix.system nt.system subprocess.Popen subprocess.call subprocess.check_output builtins.eval builtins.exec builtins.compile
builtins.getattr builtins.__import__ builtins.open builtins.apply builtins.breakpoint builtins.map builtins.frozenset.__class__
commands.getoutput __builtin__.eval __builtin__.getattr pip.main pip._internal.main runpy.run_path runpy._run_code
pty.spawn pdb.run bdb.Bdb.run code.InteractiveInterpreter.runcode doctest.debug_script profile.run cProfile.run cProfile.runctx trace.Trace.run
timeit.timeit ensurepip._run_pip venv.create idlelib.pyshell.ModifiedInterpreter.runcode idlelib.debugobj.ObjectTreeItem.SetText
lib2to3.pgen2.grammar.Grammar.loads asyncio.unix_events._UnixSubprocessTransport._start asyncio.create_subprocess_shell
importlib.import_module importlib.util.spec_from_file_location pydoc.locate pydoc.pipepager pkgutil.resolve_name ctypes.CDLL
ctypes.cdll.LoadLibrary _ctypes.dlopen operator.attrgetter operator.methodcaller operator.itemgetter _operator.attrgetter functools.partial
functools.reduce itertools.starmap types.CodeType types.FunctionType marshal.loads pickle.loads _pickle.loads pickle.Unpickler dill.loads cloudpickle.loads
shutil.rmtree shutil.copyfile pathlib.Path.write_text io.open io.FileIO _io.FileIO _io.open logging.FileHandler logging.config.listen
distutils.file_util.write_file distutils.spawn.spawn urllib.request.urlopen urllib.request.urlretrieve http.client.HTTPConnection socket.socket
socket.create_connection ssl.get_server_certificate ftplib.FTP smtplib.SMTP imaplib.IMAP4_stream requests.get uuid._get_command_stdout uuid._popen
_osx_support._read_output _aix_support._read_cmd_output _pyrepl.pager.pipe_pager test.support.script_helper.assert_python_ok
threading.Thread multiprocessing.Process multiprocessing.util.spawnv_passfds concurrent.futures.ProcessPoolExecutor _posixsubprocess.fork_exec
_xxsubinterpreters.run_string _interpreters.exec sys.exit sys.setrecursionlimit sys.modules.get sys.settrace atexit.register weakref.finalize
signal.signal resource.setrlimit gc.get_objects inspect.getattr_static typing.get_type_hints typing.ForwardRef._evaluate dataclasses._create_fn
dataclasses.make_dataclass collections.namedtuple collections.defaultdict string.Formatter.format tempfile.mktemp webbrowser.open antigravity.geohash
numpy.testing._private.utils.runstring numpy.f2py.crackfortran.getlincoef numpy.f2py.crackfortran._eval_length numpy.load numpy.core.multiarray._reconstruct
numpy.fromfile numpy.memmap numpy.ndarray.tofile numpy.distutils.exec_command.exec_command joblib.load sklearn.utils.parallel.Parallel pandas.read_pickle
pandas.eval torch.load torch.hub.load torch.hub.load_state_dict_from_url torch.jit.load torch.jit._script.script torch.ops.load_library torch.from_file
torch.storage._load_from_bytes torch.storage.UntypedStorage.from_file torch.classes.load_library torch.utils.cpp_extension.load_inline
torch.utils.collect_env.run torch.utils._config_module.ConfigModule.load_config torch.utils.bottleneck.__main__.run_cprofile
torch._dynamo.guards.GuardBuilder.get torch._inductor.codecache.compile_file torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression
torch.utils.data.datapipes.utils.decoder.basichandlers torch.jit.unsupported_tensor_ops.execWrapper torch.distributed.rpc.rpc_sync
torch.nn.modules.linear.Linear torch.nn.modules.container.Sequential torch.serialization.load torch.serialization.os.system torch._C._jit_compile
torch.FloatStorage.from_file torch._utils.warnings.sys.modules torch.Tensor.numpy torch.Tensor.__reduce_ex__ torch.package.PackageImporter
transformers.pipelines.pipeline tensorflow.keras.models.load_model keras.utils.get_file timm.create_model yaml.unsafe_load jinja2.Template
setuptools.sandbox.run_setup PIL.ImageShow.show cffi.verifier.Verifier random._os.system linecache.os.system textwrap.re.sre_parse
copyreg.add_extension copyreg._reconstructor copyreg.__newobj__ copy_reg._reconstructor collections.OrderedDict.update collections.abc.sys
mlflow.projects.backend.local._run_entry_point pandas.io.parsers.readers.read_csv operator.call _operator.call builtins.filter builtins.tuple
builtins.globals builtins.vars builtins.type builtins.classmethod builtins.property itertools.takewhile itertools.dropwhile itertools.accumulate
concurrent.futures._base.Future.set_result string.Template.substitute re.sub re.Scanner.scan collections.ChainMap collections.UserDict types.MappingProxyType
types.SimpleNamespace types.MethodType weakref.WeakMethod contextlib.ExitStack.callback asyncio.run asyncio.Runner.run sched.scheduler.run
cloudpickle.cloudpickle._make_function cloudpickle.cloudpickle._builtin_type dill._dill._create_code dill._dill._import_module joblib._utils.eval_expr
picklescan.scanner.scan_file_path fickling.hook.deactivate_safe_ml_environment modelscan.modelscan.ModelScan torch.export.load
torch._inductor.aoti_load_package torch._export.aot_load torch.library.Library.define torch.multiprocessing.spawn torch.utils.cpp_extension._run_ninja_build
torch.utils.model_zoo.load_url torch.serialization._load torch.serialization.add_safe_globals torch.storage.UntypedStorage._new_shared_filename_cpu
torch.multiprocessing.reductions.rebuild_storage_filename torch._utils._import_dotted_name torch.fx.graph_module._forward_from_src torch.fx.graph_module.reduce_graph_module
torch.distributed.elastic.multiprocessing.start_processes torch.testing._internal.common_utils.shell numpy.size numpy.__builtins__ numpy.lib._datasource.DataSource.open
numpy.ctypeslib.load_library numpy.lib._npyio_impl.load numpy.testing.measure numpy.f2py.compile numpy.f2py.capi_maps.load_f2cmap_file numpy.f2py.diagnose.run_command
scipy.io.loadmat sklearn.datasets._base.load_files huggingface_hub.hf_hub_download transformers.dynamic_module_utils.get_class_in_module
keras.src.saving.saving_lib.load_model tensorflow.python.ops.io_ops.write_file ctypes.util._findLib_gcc ctypes.string_at ctypes.memmove ctypes.CFUNCTYPE
_ctypes.call_function _ctypes.PyObj_FromPtr mmap.mmap fcntl.ioctl faulthandler._sigsegv imp.load_source importlib.machinery.SourceFileLoader.load_module
importlib._bootstrap_external.SourcelessFileLoader.load_module importlib.resources._common.open_text modulefinder.ModuleFinder.run_script rlcompleter.Completer.complete
subprocess.getoutput os.execvp os.spawnv os.popen os.putenv os.remove posix.execv platform.popen _thread.start_new_thread _winapi.CreateProcess xmlrpc.client.ServerProxy
telnetlib.Telnet nntplib.NNTP socketserver.TCPServer unittest.mock._importer pydoc.render_doc zipapp.create_archive py_compile.compile compileall.compile_file
zipimport.zipimporter site.addsitedir sysconfig.os.system readline.read_init_file sqlite3.connect sqlite3.Connection.load_extension dbm.open shelve.open
""".split()


def each_gadget():
    for gadget in GADGETS:
        module, name = gadget.rsplit(".", 1)
        head, rest = gadget.split(".", 1)
        yield gadget, module, name, head, rest


def pickles_of_gadgets():
    for gadget, module, name, head, rest in each_gadget():
        yield f"global-{gadget}", b"\x80\x02" + glob(module, name) + CALL + b"."
        yield f"proto0-{gadget}", glob(module, name) + b"(V" + CANARY + b"\ntR."
        yield f"stack-{gadget}", b"\x80\x04" + sglob(module, name) + CALL + b"."
        yield f"dotted-{gadget}", b"\x80\x04" + sglob(head, rest) + CALL + b"."
        yield f"inst-{gadget}", b"(V" + CANARY + b"\n" + f"i{module}\n{name}\n".encode() + b"."


def techniques():
    evil, good = glob("os", "system"), glob("collections", "OrderedDict")
    p2, p4 = b"\x80\x02", b"\x80\x04"
    tensor = p2 + good + b")R"
    yield "import-only", p2 + glob("davy_side_file", "x") + b"."
    yield "import-popped", p2 + evil + b"0N."
    yield "import-in-tuple", p2 + evil + b"N\x86."
    yield "obj", p2 + b"(" + evil + ARG + b"o."
    yield "obj-pop", p2 + b"(" + evil + ARG + b"o0N."
    yield "newobj", p2 + evil + ARG + b"\x85\x81."
    yield "newobj-ex", p4 + sglob("os", "system") + ARG + b"\x85}\x92."
    yield "build-setstate", p2 + glob("builtins", "getattr") + b")R}b."
    yield "build-popen", p2 + evil + b")\x81}X\x04\x00\x00\x00argsNsb."
    yield "ext1", p2 + b"\x82\x01)R."
    yield "ext2", p2 + b"\x83\x01\x01)R."
    yield "ext4", p2 + b"\x84\x01\x00\x00\x00)R."
    yield "persid", b"Pos.system\n."
    yield "binpersid", p2 + uni("storage") + glob("torch", "FloatStorage") + uni("0") + uni("cpu") + b"K\x01tQ."
    yield "binpersid-tuple", p2 + b"(" + uni("storage") + glob("torch", "FloatStorage") + uni("0") + uni("cpu") + b"K\x01tQ."
    yield "buffer", b"\x80\x05\x97."
    yield "readonly-buffer", b"\x80\x05B\x01\x00\x00\x00a\x98."
    yield "memo-names", p4 + short("os") + b"\x940" + short("system") + b"\x940h\x00h\x01\x93" + CALL + b"."
    yield "memo-swap", p4 + short("collections") + b"\x94" + short("OrderedDict") + b"\x9400" + short("os") + b"q\x00" + short("system") + b"q\x0100h\x00h\x01\x93" + CALL + b"."
    yield "memo-global", p2 + evil + b"q\x000h\x00" + CALL + b"."
    yield "memo-missing", p4 + b"h\x05h\x06\x93" + CALL + b"."
    yield "memo-huge-slot", p2 + b"Nr\xff\xff\xff\xff."
    yield "memo-put-empty", p2 + b"q\x00N."
    yield "dup-name", p4 + short("os") + b"2\x93."
    yield "type-confusion", p4 + b"K\x01K\x02\x93."
    yield "bytes-name", p4 + b"C\x02osC\x06system\x93" + CALL + b"."
    yield "escaped-unicode", p4 + b"V\\u006fs\nV\\u0073ystem\n\x93" + CALL + b"."
    yield "escaped-allowed", p4 + b"V\\u0063ollections\nVOrderedDict\n\x93)R."
    yield "escaped-string", b"S'\\x6fs'\nS'system'\n\x93."
    yield "quoted-escape", b"S'a\\nb'\n."
    yield "dotted-allowed", p4 + sglob("collections", "OrderedDict.update") + b")R."
    yield "dotted-split", p4 + sglob("torch", "_utils._rebuild_tensor_v2") + b")R."
    yield "py2-alias", glob("__builtin__", "eval") + b"(V1\ntR."
    yield "py2-commands", glob("commands", "getoutput") + b"(Vid\ntR."
    yield "py2-in-proto4", p4 + sglob("__builtin__", "set") + b"]\x85R."
    yield "cr-in-name", glob("collections", "OrderedDict\r") + b")R."
    yield "blank-in-name", glob(" collections", "OrderedDict") + b")R."
    yield "nul-in-name", glob("collections\0", "OrderedDict") + b")R."
    yield "unicode-name", p4 + sglob("collections", "OrderedDi\u0441t") + b")R."
    yield "trailing-pickle", p2 + b"N." + p2 + evil + CALL + b"."
    yield "trailing-bytes", p2 + b"N." + b"\0" * 16
    yield "trailing-newline", p2 + b"N.\n"
    yield "concatenated-good", p2 + b"N." + p2 + b"N."
    yield "carryover-memo", p2 + uni("os") + b"q\x00." + p4 + b"h\x00" + short("system") + b"\x93."
    yield "broken-after-call", p2 + evil + CALL + b"\xff"
    yield "no-stop", p2 + evil + CALL
    yield "no-stop-good", p2 + b"}"
    yield "hex-int", p2 + b"I0x10\n0" + evil + CALL + b"."
    yield "hex-int-good", b"I0x10\n."
    yield "underscore-int", b"I1_0\n."
    yield "blank-int", b"I 10\n."
    yield "hex-long", b"L0x10L\n."
    yield "frame-straddle", p4 + b"\x95" + struct.pack("<Q", 3) + short("os") + short("system") + b"\x93" + CALL + b"."
    yield "frame-straddle-good", p4 + b"\x95" + struct.pack("<Q", 3) + short("abc") + b"."
    yield "frame-nested", p4 + b"\x95" + struct.pack("<Q", 11) + b"\x95" + struct.pack("<Q", 2) + b"N."
    yield "frame-too-long", p4 + b"\x95" + struct.pack("<Q", 1 << 40) + b"N."
    yield "frame-huge", p4 + b"\x95" + b"\xff" * 8 + b"N."
    yield "frame-in-proto2", p2 + b"\x95" + struct.pack("<Q", 2) + b"N."
    yield "frame-stop-inside", p4 + b"\x95" + struct.pack("<Q", 4) + b"N.N."
    yield "proto-twice", p2 + p2 + b"N."
    yield "proto-late", b"N0" + p2 + b"N."
    yield "proto-6", b"\x80\x06N."
    yield "proto-255", b"\x80\xffN."
    yield "unknown-opcode", p2 + b"N\xf0."
    yield "underflow", p2 + b"\x85."
    yield "underflow-below-mark", p2 + b"N(\x85."
    yield "empty-stop", p2 + b"."
    yield "left-over", p2 + b"NN."
    yield "open-mark", p2 + b"N(."
    yield "pop-at-mark", p2 + b"(0N."
    yield "no-mark", p2 + b"t."
    yield "odd-dict", b"(I1\nd."
    yield "odd-setitems", p2 + b"}(K\x01u."
    yield "setitem-on-list", p2 + b"]K\x00K\x01s."
    yield "setitem-on-object", p2 + glob("torch", "device") + uni("cpu") + b"\x85RK\x00K\x01s."
    yield "append-on-dict", p2 + b"}Na."
    yield "append-on-tuple", p2 + b")(NNe."
    yield "additems-on-list", p4 + b"](K\x01\x90."
    yield "build-on-list", p2 + b"]}b."
    yield "build-on-dict", p2 + b"}}b."
    yield "build-ordered-dunder", tensor + b"}" + uni("__class__") + evil.replace(b"os\nsystem", b"torch\nSize") + b"sb."
    yield "build-ordered-tuple", tensor + b"}}\x86b."
    yield "unhashable-key", p2 + b"}]Ns."
    yield "unhashable-set", p4 + b"\x8f(]\x90."
    yield "hash-bomb", p2 + b"})" + b"2\x86" * 60 + b"Ns."
    yield "deep-key", p2 + b"}N" + b"\x85" * 20000 + b"Ns."
    yield "mark-flood", p2 + b"(" * 20000 + b"N."
    yield "long-line", b"V" + b"a" * (2 << 20) + b"\n."
    yield "length-lie", p2 + b"X\xff\xff\xff\x7fabc."
    yield "length-lie-8", p4 + b"\x8d" + b"\xff" * 8 + b"abc."
    yield "length-negative", p2 + b"T\xff\xff\xff\xffabc."
    yield "long4-negative", p2 + b"\x8b\xff\xff\xff\xff."
    yield "bad-utf8", p2 + b"X\x02\x00\x00\x00\xff\xfe."
    yield "latin1-bytestring", p2 + b"U\x02\xff\xfe."
    for name, call in {
        "encode-codec": glob("_codecs", "encode") + uni("x") + uni("zlib_codec") + b"\x86R",
        "encode-rot13": glob("_codecs", "encode") + uni("x") + uni("rot13") + b"\x86R",
        "bytearray-size": glob("builtins", "bytearray") + b"J\xff\xff\xff\x7f\x85R",
        "device-name": glob("torch", "device") + uni("privateuse; x") + b"\x85R",
        "layout-name": glob("torch.serialization", "_get_layout") + uni("torch.os") + b"\x85R",
        "size-negative": glob("torch", "Size") + b"J\xff\xff\xff\xff\x85\x85R",
        "call-dtype": glob("torch", "float32") + b")R",
        "call-storage": glob("torch", "FloatStorage") + b"J\xff\xff\xff\x7f\x85R",
        "call-untyped-storage": glob("torch.storage", "UntypedStorage") + b"J\xff\xff\xff\x7f\x85R",
        "call-tensor": glob("torch", "Tensor") + b"J\xff\xff\xff\x7f\x85R",
        "call-float-tensor": glob("torch", "FloatTensor") + b"J\xff\xff\xff\x7f\x85R",
        "new-storage": glob("torch.storage", "TypedStorage") + b")\x81",
        "rebuild-none": glob("torch._utils", "_rebuild_tensor_v2") + b"(NK\x00))\x89NtR",
        "rebuild-from-numpy": glob("torch._utils", "_rebuild_device_tensor_from_numpy") + b"(NNNNtR",
        "rebuild-type-function": glob("torch._tensor", "_rebuild_from_type_v2") + b"(" + glob("builtins", "set") + glob("torch", "Tensor") + b")}tR",
        "rebuild-type-evil": glob("torch._tensor", "_rebuild_from_type_v2") + b"(" + evil + glob("torch", "Tensor") + ARG + b"\x85}tR",
        "wrapper-class": glob("torch._utils", "_rebuild_wrapper_subclass") + b"(" + glob("collections", "OrderedDict") + glob("torch", "float32") + b"))K\x00N" + uni("cpu") + b"\x89tR",
        "args-list": glob("collections", "OrderedDict") + b"]R",
        "complex-args": glob("builtins", "complex") + uni("1") + b"\x85R",
        "counter-list": glob("collections", "Counter") + b"]\x85R",
        "set-unhashable": glob("builtins", "set") + b"]]a\x85R",
    }.items():
        yield f"call-{name}", p2 + call + b"."
    nested = b"C" + bytes([len(ARG)]) + b"\0" * len(ARG)
    yield "nested-loads", p2 + glob("pickle", "loads") + nested + b"\x85R."
    yield "nested-load-from-bytes", p2 + glob("torch.storage", "_load_from_bytes") + nested + b"\x85R."
    yield "nested-load-from-codecs", p2 + glob("torch.storage", "_load_from_bytes") + glob("_codecs", "encode") + uni("x") + uni("latin1") + b"\x86R\x85R."
    yield "getattr-chain", p4 + sglob("builtins", "getattr") + sglob("importlib", "import_module") + short("os") + b"\x85R" + short("system") + b"\x86R" + CALL + b"."
    yield "getattr-of-allowed", p4 + sglob("builtins", "getattr") + sglob("torch", "Tensor") + short("__class__") + b"\x86R."
    yield "names-joined", p4 + sglob("builtins", "getattr") + short("") + short("join") + b"\x86R](" + short("o") + short("s") + b"e\x85R" + short("system") + b"\x93."
    yield "build-on-global", p2 + glob("torch", "Tensor") + b"}" + uni("__reduce__") + b"Nsb."
    yield "build-on-global-slots", p4 + sglob("torch", "Size") + b"}}" + short("shape") + sglob("torch", "float32") + b"s\x86b."
    yield "build-setstate-key", tensor + b"}" + uni("__setstate__") + glob("torch", "Size") + b"sb."
    yield "memoize-over-put", p4 + short("collections") + b"q\x010" + short("os") + b"\x940h\x01" + short("system") + b"\x93."
    yield "memo-overwritten", p4 + short("collections") + b"\x940" + short("os") + b"r\0\0\0\x000h\0" + short("system") + b"\x93."
    yield "memo-of-mark", p4 + b"(\x94h\x00."
    yield "dup-then-global", p4 + short("system") + short("os") + b"20" + short("system") + b"\x93."
    yield "name-binunicode8", p4 + b"\x8d" + struct.pack("<Q", 2) + b"os" + b"\x8d" + struct.pack("<Q", 6) + b"system\x93" + CALL + b"."
    yield "name-string", b"S'os'\nS'system'\n\x93(V" + CANARY + b"\ntR."
    yield "name-octal", b"S'\\157s'\nS'system'\n\x93."
    yield "escaped-wide", p4 + b"V\\U0000006fs\nV\\U00000073ystem\n\x93" + CALL + b"."
    yield "escaped-global", b"c\\u006fs\nsystem\n."
    yield "frames-split", p4 + b"\x95" + struct.pack("<Q", 4) + short("os") + b"\x95" + struct.pack("<Q", 9) + short("system") + b"\x93" + CALL + b"."
    yield "frame-inside-operand", p4 + b"X\x0b\0\0\0\x95" + struct.pack("<Q", 2) + b"os" + short("system") + b"\x93."
    yield "setitems-hook", p2 + glob("collections", "defaultdict") + evil + b"\x85R" + uni("x") + b"Ns."
    yield "additems-object", p4 + sglob("weakref", "WeakSet") + b")R(" + short("x") + b"\x90."
    yield "appends-object", p4 + sglob("collections", "deque") + b")R(" + short("x") + b"e."
    yield "scanner-off", p2 + glob("fickling.hook", "remove_hook") + b")R0" + glob("os", "system") + CALL + b"."
    yield "two-protocols", b"\x80\x02\x80\x04N."
    yield "stop-in-string", p2 + b"U\x01.." + evil + CALL + b"."
    yield "truncated", pickle.dumps({"a": [1, 2, 3]}, 2)[:-4]
    yield "spliced", pickle.dumps({"a": [1, 2, 3]}, 2)[:-1] + evil + CALL + b"0."
    yield "doubly-nested", p2 + b"".join(b"]q" + bytes([i]) for i in range(3)) + evil + CALL + b"aaa."


# --- containers ------------------------------------------------------------------------------------------------------

EVIL = b"\x80\x02" + glob("os", "system") + CALL + b"."
EVIL0 = glob("os", "system") + b"(V" + CANARY + b"\ntR."
EVIL4 = b"\x80\x04" + sglob("os", "system") + CALL + b"."


def checkpoint(state=None):
    buffer = io.BytesIO()
    torch.save(torch.nn.Linear(2, 3).state_dict() if state is None else state, buffer)
    return buffer.getvalue()


def records(data):
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        return {name: z.read(name) for name in z.namelist()}


def pack(entries, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as z:
        for name, data in entries.items() if isinstance(entries, dict) else entries:
            z.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def torch_zip():
    base = records(checkpoint())
    root = next(iter(base)).split("/")[0]
    with_pickle = lambda data: {**base, f"{root}/data.pkl": data}
    for name, data in (("proto0", EVIL0), ("proto2", EVIL), ("proto4", EVIL4)):
        yield f"payload-{name}", pack(with_pickle(data))
        yield f"payload-{name}-deflated", pack(with_pickle(data), zipfile.ZIP_DEFLATED)
    good = base[f"{root}/data.pkl"]
    yield "appended", pack(with_pickle(good + EVIL))
    yield "prepended", pack(with_pickle(b"\x80\x02" + glob("os", "system") + CALL + b"0" + good[2:]))
    yield "inside", pack(with_pickle(good[:-1] + glob("os", "system") + CALL + b"0."))
    yield "upper", pack({**{k.replace("data.pkl", "DATA.PKL"): v for k, v in base.items()}})
    yield "upper-beside", pack({f"{root}/DATA.PKL": EVIL0, **base})
    yield "duplicate-first", pack([(f"{root}/data.pkl", EVIL), *base.items()])
    yield "duplicate-last", pack([*base.items(), (f"{root}/data.pkl", EVIL)])
    yield "second-root", pack({**base, "other/data.pkl": EVIL})
    yield "other-record", pack({**base, f"{root}/config.p": EVIL})
    yield "other-pickle", pack({**base, f"{root}/evil.pkl": EVIL})
    yield "storage-pickle", pack({**base, f"{root}/data/9": EVIL})
    yield "missing-pickle", pack({k: v for k, v in base.items() if not k.endswith("data.pkl")})
    yield "missing-storage", pack({k: v for k, v in base.items() if not k.endswith("data/0")})
    yield "short-storage", pack({**base, f"{root}/data/0": base[f"{root}/data/0"][:-4]})
    yield "long-storage", pack({**base, f"{root}/data/0": base[f"{root}/data/0"] + bytes(4)})
    yield "byteorder", pack({**base, f"{root}/byteorder": b"middle"})
    yield "version", pack({**base, f"{root}/version": b"3; import os"})
    yield "no-root", pack({k.split("/", 1)[1]: v for k, v in base.items()})
    yield "code-record", pack({**base, f"{root}/code/__torch__.py": b"def forward(self):\n  return torch.from_file('x')\n", f"{root}/constants.pkl": b"\x80\x02)."})
    raw = bytearray(checkpoint())
    at = raw.find(b"data/0") + len(b"data/0")
    flipped = raw.copy()
    payload = records(bytes(raw))[f"{root}/data/0"]
    flipped[raw.find(payload)] ^= 1
    yield "crc", bytes(flipped)
    central = raw.rfind(b"PK\x01\x02")
    for name, offset, value in (("encrypted", 8, 0x01), ("strange-flag", 8, 0x20), ("method", 10, 12)):
        changed = raw.copy()
        changed[central + offset] |= value
        yield f"central-{name}", bytes(changed)
    renamed = raw.copy()
    local = renamed.find(f"{root}/data.pkl".encode())
    renamed[local : local + len(root)] = b"x" * len(root)
    yield "local-name", bytes(renamed)
    yield "prefix", b"#!/bin/sh\n" + bytes(raw)
    yield "prefix-pickle", EVIL + bytes(raw)
    yield "prefix-pickle-good", b"\x80\x02N." + bytes(raw)
    yield "suffix", bytes(raw) + EVIL
    yield "truncated", bytes(raw[:-30])
    yield "comment", bytes(raw[:-2]) + struct.pack("<H", len(EVIL)) + EVIL
    del at


def raw_zip(entries, prefix=b"", suffix=b"", gap=b"", comment=b"", count=None, disk=0, offset=None, size=None, zip64=None, again=b""):
    """A zip of which every field can lie. An entry is (name, data, lies)."""
    body, directory = bytearray(prefix), b""
    for name, data, lie in entries:
        name = name if isinstance(name, bytes) else name.encode()
        at, lname = len(body), lie.get("lname", name)
        crc, flags, method, stored = lie.get("crc", zlib.crc32(data)), lie.get("flags", 0), lie.get("method", 0), lie.get("payload", data)
        length, packed = lie.get("size", len(data)), lie.get("packed", len(stored))
        local = (20, lie.get("lflags", flags), lie.get("lmethod", method), 0, 0x21, lie.get("lcrc", crc), lie.get("lpacked", packed), lie.get("lsize", length))
        extra, lextra = lie.get("extra", b""), lie.get("lextra", b"")
        body += b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", *local, len(lname), len(lextra)) + lname + lextra + stored + lie.get("after", b"")
        if not lie.get("hidden"):
            central = (0x0314, lie.get("needs", 20), flags, method, 0, 0x21, crc, packed, length, len(name), len(extra), len(lie.get("comment", b"")), 0, 0, lie.get("attributes", 0o100644 << 16))
            directory += b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHI", *central) + struct.pack("<I", lie.get("offset", at)) + name + extra + lie.get("comment", b"")
    body += gap
    n, start, length = len(entries) - sum(bool(e[2].get("hidden")) for e in entries), len(body), len(directory)
    body += directory
    if zip64 is not None:
        at = len(body)
        lies = {"n": n, "size": length, "offset": start, "at": at, **zip64}
        body += b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, lies["n"], lies["n"], lies["size"], lies["offset"])
        body += b"PK\x06\x07" + struct.pack("<IQI", 0, lies["at"], 1)
    end = struct.pack("<HHHHIIH", disk, disk, n if count is None else count, n if count is None else count, length if size is None else size, start if offset is None else offset, len(comment))
    return bytes(body) + again + b"PK\x05\x06" + end + comment + suffix


def zip_lies():
    """What zip readers disagree about. torch's own reader takes most of these; Python's and the scanners' do not, or the other way round."""
    base = records(checkpoint({"x": torch.arange(4.0)}))
    root = next(iter(base)).split("/")[0]
    pickled, version = f"{root}/data.pkl", f"{root}/version"
    plain = [(name, data, {}) for name, data in base.items()]
    lie = lambda name, **lies: raw_zip([(n, d, lies if n == name else {}) for n, d in base.items()])
    evil = lambda **shape: raw_zip([(n, EVIL if n == pickled else d, {}) for n, d in base.items()], **shape)
    with_more = lambda *more, **shape: raw_zip([*plain, *more], **shape)
    deflated = zlib.compress(base[pickled])[2:-4]
    for name in (pickled, version, f"{root}/data/0"):
        short_name = name.split("/", 1)[1].replace("/", "-")
        for bit in (0, 4, 5, 6, 13, 15):
            yield f"flag-{bit}-{short_name}", lie(name, flags=1 << bit)
            yield f"local-flag-{bit}-{short_name}", lie(name, lflags=1 << bit, flags=0)
            yield f"central-flag-{bit}-{short_name}", lie(name, lflags=0, flags=1 << bit)
        yield f"crc-{short_name}", lie(name, crc=1)
        yield f"local-crc-{short_name}", lie(name, lcrc=1)
        yield f"central-crc-zero-{short_name}", lie(name, crc=0, lcrc=zlib.crc32(base[name]))
        yield f"local-name-{short_name}", lie(name, lname=name.upper().encode())
        yield f"local-size-{short_name}", lie(name, lsize=1, lpacked=1)
        yield f"size-{short_name}", lie(name, size=len(base[name]) + 1, packed=len(base[name]) + 1)
        yield f"method-{short_name}", lie(name, lmethod=8)
        for method in (1, 6, 9, 12, 14, 93, 95, 97, 99):
            yield f"method-{method}-{short_name}", lie(name, method=method)
        yield f"sizes-in-zip64-{short_name}", lie(name, size=0xFFFFFFFF, packed=0xFFFFFFFF, extra=struct.pack("<HHQQ", 1, 16, 1, 1), lextra=struct.pack("<HHQQ", 1, 16, len(base[name]), len(base[name])))
        yield f"zip64-short-{short_name}", lie(name, size=0xFFFFFFFF, extra=struct.pack("<HHI", 1, 4, 1))
        yield f"unicode-path-{short_name}", lie(name, extra=struct.pack("<HHBI", 0x7075, 5 + len(pickled), 1, zlib.crc32(name.encode())) + pickled.encode())
        yield f"password-extra-{short_name}", lie(name, extra=struct.pack("<HHHHBH", 0x9901, 7, 2, 0x4541, 3, 0))
        yield f"needs-{short_name}", lie(name, needs=128)
        yield f"symlink-{short_name}", lie(name, attributes=0o120777 << 16)
    yield "deflate-tail", lie(pickled, method=8, payload=deflated + EVIL, size=len(base[pickled]), crc=zlib.crc32(base[pickled]))
    yield "deflate-short", lie(pickled, method=8, payload=deflated[:-3], size=len(base[pickled]), crc=zlib.crc32(base[pickled]))
    yield "deflate-longer", lie(pickled, method=8, payload=deflated, size=len(base[pickled]) - 4, crc=zlib.crc32(base[pickled][:-4]))
    yield "descriptor-lie", lie(pickled, flags=8, lcrc=0, lsize=0, lpacked=0, after=b"PK\x07\x08" + struct.pack("<III", 1, 2, 3))
    yield "descriptor-missing", lie(pickled, flags=8, lcrc=0, lsize=0, lpacked=0)
    yield "hidden-entry", with_more((f"{root}/data.pkl", EVIL, {"hidden": True}))
    yield "hidden-first", raw_zip([(pickled, EVIL, {"hidden": True}), *plain])
    yield "same-offset", with_more((f"{root}/data/1", b"", {"offset": 0}))
    yield "offset-into-data", lie(pickled, offset=40)
    yield "offset-past-end", lie(pickled, offset=1 << 30)
    yield "broken-before", raw_zip([(f"{root}/data/9", b"x", {"crc": 1}), *[(n, EVIL if n == pickled else d, {}) for n, d in base.items()]])
    yield "encrypted-before", raw_zip([(f"{root}/data/9", b"x", {"flags": 1}), *[(n, EVIL if n == pickled else d, {}) for n, d in base.items()]])
    for i, name in enumerate([f"{root}\\data.pkl", f"/{pickled}", f"./{pickled}", f"{root}//data.pkl", f"{root}/./data.pkl", f"x/../{pickled}", f"{pickled}\0.txt", f"{pickled}/", f"{pickled} ", f"{pickled}.", f"{root}/DATA.PKL", f"{root}/data.p\u212al", f"{root.upper()}/data.pkl", b"\xff/data.pkl", "C:data.pkl"]):
        yield f"name-{i}", with_more((name, EVIL, {}))
        yield f"name-first-{i}", raw_zip([(name, EVIL, {}), *plain])
    yield "two-ends", evil(again=raw_zip(plain)[-22:])
    yield "end-in-comment", raw_zip(plain, comment=evil()[-22:])
    yield "end-comment-longer", raw_zip(plain)[:-2] + b"\xff\xff"
    yield "gap", raw_zip(plain, gap=EVIL)
    yield "prefix", raw_zip(plain, prefix=EVIL)
    yield "suffix", raw_zip(plain, suffix=EVIL)
    yield "concatenated", raw_zip(plain) + evil()
    yield "concatenated-evil-first", evil() + raw_zip(plain)
    yield "count-less", raw_zip(plain, count=1)
    yield "count-more", raw_zip(plain, count=99)
    yield "disk", raw_zip(plain, disk=1)
    yield "directory-size", raw_zip(plain, size=10)
    yield "directory-offset", raw_zip(plain, offset=1)
    for name, lies in {"count": {"n": 1}, "count-huge": {"n": 1 << 60}, "offset": {"offset": 0}, "size": {"size": 1 << 62}, "locator": {"at": 0}, "locator-huge": {"at": (1 << 64) - 1}}.items():
        yield f"zip64-{name}", raw_zip(plain, zip64=lies)
        yield f"zip64-{name}-asked", raw_zip(plain, zip64=lies, count=0xFFFF, offset=0xFFFFFFFF, size=0xFFFFFFFF)
    yield "extra-cut", lie(pickled, extra=b"\x01")


def rewrite(data, old, new):
    assert old in data, old
    return data.replace(old, new, 1)


def tensors():
    """The tensor metadata lies: sizes, strides, offsets, counts."""
    base = records(checkpoint({"x": torch.arange(4.0)}))
    root = next(iter(base)).split("/")[0]
    good = base[f"{root}/data.pkl"]
    size = b"K\x04\x85"
    yield "size", rewrite(good, size, b"K\x05\x85")
    yield "size-huge", rewrite(good, size, b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85")
    yield "size-negative", rewrite(good, size, b"J\xff\xff\xff\xff\x85")
    yield "numel", rewrite(good, b"cpuq\x06K\x04" if b"cpuq\x06K\x04" in good else b"cpuq\x05K\x04", b"cpuq\x06K\x40")
    marker = good.index(b"Q") + 1
    yield "offset", good[:marker] + b"K\x01" + good[marker + 2 :]
    yield "offset-negative", good[:marker] + b"J\xff\xff\xff\xff" + good[marker + 2 :]
    yield "stride", rewrite(good, b"K\x01\x85", b"K\x02\x85")
    yield "stride-negative", rewrite(good, b"K\x01\x85", b"J\xff\xff\xff\xff\x85")
    yield "class", rewrite(good, b"FloatStorage", b"LongStorage")
    yield "key", rewrite(good, b"X\x01\x00\x00\x000", b"X\x05\x00\x00\x00../..")
    yield "location", rewrite(good, b"X\x03\x00\x00\x00cpu", b"X\x05\x00\x00\x00cpu;x")
    yield "hooks", rewrite(good, b")R", b")RK\x01K\x02s")


def sparse():
    """Indices that point outside: torch builds such tensors and writes out of bounds when they are made dense."""
    lines, entries, values, blocks = torch.tensor([0, 1, 2]), torch.tensor([0, 1]), torch.ones(2), torch.ones(2, 1, 1)
    kinds = {
        "coo": torch.sparse_coo_tensor(torch.tensor([[0, 1]]), values, (2,)),
        "csr": torch.sparse_csr_tensor(lines, entries, values, (2, 2)), "csc": torch.sparse_csc_tensor(lines, entries, values, (2, 2)),
        "bsr": torch.sparse_bsr_tensor(lines, entries, blocks, (2, 2)), "bsc": torch.sparse_bsc_tensor(lines, entries, blocks, (2, 2)),
    }
    for kind, tensor in kinds.items():
        base = records(checkpoint({"s": tensor}))
        for name, data in base.items():
            if "/data/" not in name or len(data) % 8 or name.endswith("serialization_id"):
                continue
            for i in range(0, len(data), 8):
                for value in (1 << 40, 3, -1):
                    if struct.unpack_from("<q", data, i)[0] in (0, 1, 2):
                        changed = data[:i] + struct.pack("<q", value) + data[i + 8 :]
                        yield f"{kind}-{name.rsplit('/', 1)[1]}-{i}-{value}", pack({**base, name: changed})
        buffer = io.BytesIO()
        torch.save(tensor, buffer, _use_new_zipfile_serialization=False)
        data = buffer.getvalue()
        good = struct.pack("<qq", 0, 1)
        at = data.rindex(good)
        yield f"legacy-{kind}", data[:at] + struct.pack("<qq", 0, 1 << 40) + data[at + 16 :]


def legacy():
    buffer = io.BytesIO()
    torch.save({"x": torch.arange(4.0)}, buffer, _use_new_zipfile_serialization=False)
    data = buffer.getvalue()
    source = io.BytesIO(data)
    parts, ends = [], [0]
    for _ in range(5):  # find the five streams by their opcodes, without loading them
        import pickletools

        for _ in pickletools.genops(source):
            pass
        ends.append(source.tell())
    parts = [data[a:b] for a, b in zip(ends, ends[1:])]
    storages = data[ends[-1] :]
    for i in range(5):
        yield f"payload-{i}", b"".join([*parts[:i], EVIL, *parts[i + 1 :]]) + storages
        yield f"call-then-value-{i}", b"".join([*parts[:i], parts[i][:2] + glob("os", "system") + CALL + b"0" + parts[i][2:], *parts[i + 1 :]]) + storages
    magic = b"\x80\x02" + glob("builtins", "eval") + uni("0x1950a86a20f9469cfc6c") + b"\x85R."
    yield "magic-eval", magic + b"".join(parts[1:]) + storages
    yield "protocol", parts[0] + b"\x80\x02M\xe8\x03." + b"".join(parts[2:]) + storages
    yield "extra-pickle", data + EVIL
    yield "extra-bytes", data + b"\0"
    yield "short", data[:-1]
    yield "count", b"".join(parts) + struct.pack("<q", 5) + storages[8:]
    yield "count-negative", b"".join(parts) + struct.pack("<q", -1) + storages[8:]
    yield "no-keys", b"".join(parts[:4]) + b"\x80\x02]." 
    yield "unknown-key", b"".join(parts[:4]) + b"\x80\x02]" + uni("1") + b"a." + storages
    yield "magic-only", parts[0]


def tars():
    def tar(entries, mode="w:", kind=tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode, format=kind) as t:
            for name, data in entries:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                t.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    entries = [("storages", b"\x80\x02K\x00."), ("tensors", b"\x80\x02K\x00."), ("pickle", EVIL)]
    for extension in ("pt", "pth", "bin", "ckpt", "tar", "dat"):
        yield f"torch.{extension}", tar(entries)
    yield "old.pt", tar(entries, kind=tarfile.USTAR_FORMAT)
    yield "gz.pt", tar(entries, "w:gz")


def numpy_files():
    def npy(header, data=b"", version=(1, 0)):
        text = header.encode("latin1") + b"\n"
        length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
        return b"\x93NUMPY" + bytes(version) + length + text + data

    yield "object.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", EVIL)
    yield "object-v2.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", EVIL, (2, 0))
    yield "object-field.npy", npy("{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (1,), }", EVIL)
    yield "object-nested.npy", npy("{'descr': [('a', [('b', '|O', (2,))])], 'fortran_order': False, 'shape': (1,), }", EVIL)
    yield "object-8.npy", npy("{'descr': '|O8', 'fortran_order': False, 'shape': (1,), }", EVIL)
    yield "not-npy.npy", EVIL
    yield "header-call.npy", npy("{'descr': __import__('os').system('id'), 'fortran_order': False, 'shape': (1,), }")
    yield "header-escape.npy", npy("{'descr': '\\x7cO', 'fortran_order': False, 'shape': (1,), }")
    yield "trailing.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", bytes(4) + EVIL)
    yield "short.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9,), }", bytes(4))
    yield "negative.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", bytes(4))
    yield "overflow.npy", npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({1 << 62}, 4), }}", b"")
    yield "extra-key.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1, }", bytes(4))
    yield "twice-key.npy", npy("{'descr': '<f4', 'descr': '|O', 'shape': (), }", bytes(4))
    yield "version.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", bytes(4), (9, 0))
    yield "deep.npy", npy("{'descr': " + "[" * 500 + "]" * 500 + ", 'fortran_order': False, 'shape': (), }", bytes(4))
    plain = io.BytesIO()
    np.save(plain, np.ones(3))
    objects = npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", EVIL)
    yield "object.npz", pack({"a.npy": plain.getvalue(), "b.npy": objects})
    yield "object-deflated.npz", pack({"b.npy": objects}, zipfile.ZIP_DEFLATED)
    yield "pickle.npz", pack({"a.npy": plain.getvalue(), "b.pkl": EVIL})
    yield "raw-pickle.npz", pack({"a.npy": EVIL})


def safetensors_files():
    def st(header, data=b"", pad=b""):
        text = (header if isinstance(header, bytes) else json.dumps(header).encode()) + pad
        return struct.pack("<Q", len(text)) + text + data

    x = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    good = st({"x": x}, bytes(8))
    yield "not-safetensors", EVIL
    yield "torch", checkpoint()
    yield "truncated", good[:-1]
    yield "trailing", good + EVIL
    yield "header-length", struct.pack("<Q", 1 << 40) + good[8:]
    yield "header-length-max", b"\xff" * 8 + good[8:]
    yield "duplicate", st(b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8))
    yield "duplicate-escaped", st(b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"\\u0078":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8))
    yield "duplicate-inner", st(b'{"x":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8))
    yield "overlap", st({"x": x, "y": {**x, "data_offsets": [4, 12]}}, bytes(12))
    yield "same-range", st({"x": x, "y": x}, bytes(8))
    yield "hole", st({"x": x, "y": {**x, "data_offsets": [16, 24]}}, bytes(24))
    yield "hole-first", st({"x": {**x, "data_offsets": [8, 16]}}, bytes(16))
    yield "reversed", st({"x": {**x, "data_offsets": [8, 0]}}, bytes(8))
    yield "size", st({"x": {**x, "shape": [3]}}, bytes(8))
    yield "overflow", st({"x": {**x, "shape": [1 << 62, 8]}}, bytes(8))
    yield "negative", st({"x": {**x, "shape": [-2]}}, bytes(8))
    yield "fraction", st(b'{"x":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}', bytes(8))
    yield "dtype", st({"x": {**x, "dtype": "OBJECT"}}, bytes(8))
    yield "dtype-proto", st({"x": {**x, "dtype": "constructor"}}, bytes(8))
    yield "metadata", st({"__metadata__": {"a": 1}, "x": x}, bytes(8))
    yield "metadata-list", st({"__metadata__": [], "x": x}, bytes(8))
    yield "unknown-field", st({"x": {**x, "code": "import os"}}, bytes(8))
    yield "padding", st({"x": x}, bytes(8), b"\0\0")
    yield "leading-blank", st(b" " + json.dumps({"x": x}).encode(), bytes(8))
    entry = lambda text: st(b'{"x":' + text + b"}", bytes(8))
    yield "offset-exponent", entry(b'{"dtype":"F32","shape":[2],"data_offsets":[0,8e0]}')
    yield "offset-text", entry(b'{"dtype":"F32","shape":[2],"data_offsets":["0","8"]}')
    yield "offset-three", entry(b'{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}')
    yield "offset-zeros", entry(b'{"dtype":"F32","shape":[2],"data_offsets":[00,8]}')
    yield "offset-huge", entry(b'{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551624]}')
    yield "shape-true", entry(b'{"dtype":"F32","shape":[true,2],"data_offsets":[0,8]}')
    yield "shape-deep", entry(b'{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}')
    yield "dtype-null", entry(b'{"dtype":null,"shape":[2],"data_offsets":[0,8]}')
    yield "nan", entry(b'{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}')
    yield "comment", st(b'{/*x*/"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8))
    yield "trailing-comma", st(b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},}', bytes(8))
    yield "byte-order-mark", st(b'\xef\xbb\xbf{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8))
    yield "metadata-twice", st(b'{"__metadata__":{},"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8))
    yield "header-nul", st(b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}\0', bytes(8))
    yield "header-zero", struct.pack("<Q", 0) + good[8:]
    yield "header-over-limit", struct.pack("<Q", 100_000_001) + b"{" + b" " * 64
    yield "header-takes-all", struct.pack("<Q", len(good) - 8) + good[8:]
    yield "pickle-behind-header", struct.pack("<Q", 2) + b"{}" + EVIL
    yield "not-object", st(b"[]")
    yield "utf8", st(b'{"\xff":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8))
    yield "deep", st(b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}")
    yield "zip-tail", st({"x": {**x, "dtype": "U8", "shape": [len(checkpoint())], "data_offsets": [0, len(checkpoint())]}}, pack({"a/data.pkl": EVIL}).ljust(0)) if False else st({"x": {"dtype": "U8", "shape": [len(pack({"a/data.pkl": EVIL}))], "data_offsets": [0, len(pack({"a/data.pkl": EVIL}))]}}, pack({"a/data.pkl": EVIL}))


def gguf_files():
    def text(value):
        return struct.pack("<Q", len(value)) + value

    def gguf(entries=(), tensors=(), data=b"", version=3, counts=None):
        head = b"GGUF" + struct.pack("<IQQ", version, *(counts or (len(tensors), len(entries)))) + b"".join(entries) + b"".join(tensors)
        return head.ljust(-(-len(head) // 32) * 32, b"\0") + data

    tensor = text(b"w") + struct.pack("<IQIQ", 1, 8, 0, 0)
    yield "version", gguf(version=1)
    yield "version-big", gguf(version=1 << 24)
    yield "tensor-count", gguf(counts=(1 << 60, 0))
    yield "entry-count", gguf(counts=(0, 1 << 60))
    yield "count-overflow", gguf(counts=((1 << 64) - 1, (1 << 64) - 1))
    yield "key-length", gguf([struct.pack("<Q", 1 << 63) + b"x"])
    yield "array-length", gguf([text(b"k") + struct.pack("<IIQ", 9, 4, 1 << 62)])
    yield "array-depth", gguf([text(b"k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5000 + struct.pack("<IQB", 0, 1, 1)])
    yield "value-type", gguf([text(b"k") + struct.pack("<IQ", 99, 0)])
    yield "duplicate-key", gguf([text(b"k") + struct.pack("<IB", 0, 1)] * 2)
    yield "alignment", gguf([text(b"general.alignment") + struct.pack("<II", 4, 0)])
    yield "alignment-odd", gguf([text(b"general.alignment") + struct.pack("<II", 4, 24)])
    yield "template", gguf([text(b"tokenizer.chat_template") + struct.pack("<I", 8) + text(b"{{ ''.__class__.__mro__[1].__subclasses__() }}")])
    yield "dimensions", gguf(tensors=[text(b"w") + struct.pack("<I", 1 << 30)])
    yield "shape-overflow", gguf(tensors=[text(b"w") + struct.pack("<IQQIQ", 2, 1 << 40, 1 << 40, 0, 0)], data=bytes(32))
    yield "tensor-type", gguf(tensors=[text(b"w") + struct.pack("<IQIQ", 1, 8, 77, 0)], data=bytes(32))
    yield "offset", gguf(tensors=[text(b"w") + struct.pack("<IQIQ", 1, 8, 0, 1 << 40)], data=bytes(32))
    yield "unaligned", gguf(tensors=[text(b"w") + struct.pack("<IQIQ", 1, 8, 0, 4)], data=bytes(64))
    yield "short", gguf(tensors=[tensor], data=bytes(16))
    yield "trailing", gguf(tensors=[tensor], data=bytes(32) + bytes(32) + EVIL)
    yield "overlap", gguf(tensors=[tensor, text(b"v") + struct.pack("<IQIQ", 1, 8, 0, 0)], data=bytes(32))
    yield "duplicate-tensor", gguf(tensors=[tensor, tensor], data=bytes(64))
    yield "truncated", gguf([text(b"k") + struct.pack("<IB", 0, 1)])[:30]
    dims = lambda *n, kind=0, offset=0: text(b"w") + struct.pack("<I", len(n)) + b"".join(struct.pack("<Q", d) for d in n) + struct.pack("<IQ", kind, offset)
    yield "product-wraps", gguf(tensors=[dims((1 << 42) + 1, 1 << 22)], data=bytes(32))
    yield "product-wraps-to-zero", gguf(tensors=[dims(1 << 32, 1 << 32)], data=bytes(32))
    yield "dimension-max", gguf(tensors=[dims((1 << 64) - 1, 2)], data=bytes(32))
    yield "dimensions-five", gguf(tensors=[dims(1, 1, 1, 1, 8)], data=bytes(32))
    yield "dimensions-nine", gguf(tensors=[dims(*[1] * 9)], data=bytes(32))
    yield "dimensions-max", gguf(tensors=[text(b"w") + struct.pack("<I", 0xFFFFFFFF)])
    yield "block-rest", gguf(tensors=[dims(33, kind=2)], data=bytes(64))
    yield "offset-wraps", gguf(tensors=[dims(8, offset=(1 << 64) - 32)], data=bytes(64))
    yield "alignment-huge", gguf([text(b"general.alignment") + struct.pack("<II", 4, 1 << 31)])
    yield "alignment-text", gguf([text(b"general.alignment") + struct.pack("<I", 8) + text(b"32")])
    yield "alignment-signed", gguf([text(b"general.alignment") + struct.pack("<Ii", 5, -32)])
    yield "string-max", gguf([text(b"k") + struct.pack("<IQ", 8, (1 << 64) - 1) + b"x"])
    yield "string-wraps", gguf([text(b"k") + struct.pack("<IQ", 8, (1 << 63) - 8) + b"x"])
    yield "array-wraps", gguf([text(b"k") + struct.pack("<IIQ", 9, 10, (1 << 61) + 1) + bytes(8)])
    yield "array-of-texts", gguf([text(b"k") + struct.pack("<IIQ", 9, 8, 1 << 40) + bytes(64)])
    yield "array-type", gguf([text(b"k") + struct.pack("<IIQ", 9, 99, 1) + bytes(8)])
    yield "template-array", gguf([text(b"tokenizer.chat_template.x") + struct.pack("<I", 8) + text(b"{{ cycler.__init__.__globals__ }}")])
    yield "pickle-in-gap", gguf(tensors=[dims(8), text(b"v") + struct.pack("<IQIQ", 1, 8, 0, 1024)], data=bytes(32) + EVIL.ljust(992, b"\0") + bytes(32))
    yield "big-endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)


def onnx_files():
    def graph(nodes, inits=()):
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        return helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])], [y], list(inits))

    def data(g, opsets=("",), **options):
        return helper.make_model(g, opset_imports=[helper.make_opsetid(d, 18) for d in opsets], **options).SerializeToString()

    identity = helper.make_node("Identity", ["x"], ["y"])

    def external(location, **more):
        tensor = numpy_helper.from_array(np.ones(4, np.float32), "w")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    for i, location in enumerate(["../../etc/passwd", "/etc/passwd", "a/../../x", "..\\x", "C:\\x", "", ".", "..", "./w.bin", "a//b", "x\0y", "missing.bin", "~/x", "file:///etc/passwd", "%2e%2e/x", ".hidden"]):
        yield f"external-{i}", data(graph([identity], [external(location)]))
        inner = helper.make_node("Constant", [], ["y"], value=external(location))
        yield f"external-attribute-{i}", data(graph([inner]))
    escape = external("../x")
    branch = helper.make_graph([identity], "b", [], [], [escape])
    yield "external-subgraph", data(graph([helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)]))
    sparse = helper.make_sparse_tensor(escape, helper.make_tensor("i", TensorProto.INT64, [1], [0]), [4])
    g = graph([identity])
    g.sparse_initializer.append(sparse)
    yield "external-sparse", data(g)
    function = helper.make_function("d", "F", ["a"], ["b"], [helper.make_node("Constant", [], ["b"], value=escape)], [helper.make_opsetid("", 18)])
    yield "external-function", data(graph([helper.make_node("F", ["x"], ["y"], domain="d")]), ("", "d"), functions=[function])
    implicit = external("../x")
    implicit.data_location = TensorProto.DEFAULT
    yield "external-undeclared", data(graph([identity], [implicit]))
    twice = external("side.bin")
    twice.external_data.add(key="location", value="../x")
    yield "external-twice", data(graph([identity], [twice]))
    write("onnx/side.safetensors", b"\xff" * 64)

    def field(number, body):
        return bytes([number << 3 | 2]) + bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body

    # What appears twice is one to protobuf: half of the description each.
    half = TensorProto()
    half.external_data.add(key="offset", value=str(1 << 40))
    whole = external("side.safetensors").SerializeToString()
    attribute = helper.make_attribute("value", "x").SerializeToString()[:7] + b"\xa0\x01\x04"
    for name, parts in {"offset-behind": (whole, half.SerializeToString()), "offset-before": (half.SerializeToString(), whole)}.items():
        merged = attribute + b"".join(field(5, part) for part in parts)
        node = helper.make_node("Constant", [], ["y"]).SerializeToString() + field(5, merged)
        yield f"external-merged-{name}", b"\x08\x0a" + field(7, field(1, node)) + field(8, b"\x10\x12")
    plain = field(7, field(1, identity.SerializeToString()))
    yield "graph-twice", b"\x08\x0a" + plain + plain
    for operator in ("EPContext", "PythonOp", "PythonOpGrad", "TritonOp"):
        for domain in ("com.microsoft", ""):
            yield f"foreign-{operator}-{domain or 'onnx'}", data(graph([helper.make_node(operator, ["x"], ["y"], domain=domain, ep_cache_context="../../x.so", embed_mode=0)]), ("", "com.microsoft"))
    for i, location in enumerate(["../x", "/etc/passwd"]):
        yield f"external-second-graph-{i}", b"\x08\x0a" + plain + field(7, field(5, external(location).SerializeToString()))
    # Its readers set every key as an attribute of an object.
    for key in ("__class__", "data", "basepath", "base_dir", "locatiom", "Location", ""):
        yield f"external-key-{key.strip('_') or 'empty'}", data(graph([identity], [external("side.safetensors", **{key: "x"})]))
        inner = external("side.safetensors", **{key: "x"})
        inner.data_location = TensorProto.DEFAULT
        yield f"external-key-default-{key.strip('_') or 'empty'}", data(graph([identity], [inner]))
    for i, location in enumerate(["*/_ORT_MEM_ADDR_/*", "*/_ORT_IN_MEMORY_DATA_/*", "\\\\host\\share\\x", "//host/x", "side.safetensors/..", "CON", "side.safetensors:stream", "side.safetensors\n", "$HOME/x", "/proc/self/environ", "/dev/stdin"]):
        yield f"external-place-{i}", data(graph([identity], [external(location, offset=0, length=16)]))
    write("onnx/side.bin-reference.npy", b"")
    yield "external-offset", data(graph([identity], [external("side.safetensors", offset=1 << 40)]))
    yield "external-negative", data(graph([identity], [external("side.safetensors", offset=-4)]))
    yield "external-length", data(graph([identity], [external("side.safetensors", length=1 << 40)]))
    yield "custom-op", data(graph([helper.make_node("PyOp", ["x"], ["y"], domain="ai.onnx.contrib")]), ("", "ai.onnx.contrib"))
    yield "custom-aten", data(graph([helper.make_node("ATen", ["x"], ["y"], domain="org.pytorch.aten")]), ("", "org.pytorch.aten"))
    loop = graph([helper.make_node("Evil", ["x"], ["y"], domain="evil")])
    yield "custom-subgraph", data(graph([helper.make_node("Loop", ["x"], ["y"], body=loop)]), ("", "evil"))
    good = data(graph([identity]))
    yield "pickle", EVIL
    yield "text", b"import os\n"
    yield "truncated", good[:-3]
    yield "trailing", good + EVIL
    yield "group", good + b"\x0b\x0c"
    yield "wire-type-6", good + b"\x0e"
    yield "unknown-field", good + b"\xf8\x07\x01"
    yield "field-zero", good + b"\x00\x00"
    yield "length-lie", good + b"\x3a\xff\xff\xff\xff\x07"
    yield "varint", good + b"\x08" + b"\xff" * 11
    yield "no-graph", b"\x08\x0a"
    yield "no-version", b"\x3a" + bytes([len(graph([identity]).SerializeToString())]) + graph([identity]).SerializeToString()
    body = b""
    for _ in range(3000):  # attribute.g -> node -> attribute, far deeper than any loop
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            length, out = len(body), b""
            while True:
                out += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
                length >>= 7
                if not length:
                    break
            body = tag + out + body
    length, out = len(body), b""
    while True:
        out += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            break
    yield "deep", b"\x08\x0a\x3a" + out + body
    lie = numpy_helper.from_array(np.ones(4, np.float32), "w")
    lie.dims[0] = 1 << 40
    yield "raw-data-short", data(graph([identity], [lie]))
    lie2 = numpy_helper.from_array(np.ones(4, np.float32), "w")
    lie2.dims[0] = -4
    yield "dims-negative", data(graph([identity], [lie2]))


def scripts():
    class FromFile(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return torch.from_file("/tmp/davy-corpus-canary", True, 4)

    class Save(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            torch.save(x, "/tmp/davy-corpus-canary")
            return x

    for cls in (FromFile, Save):
        try:
            buffer = io.BytesIO()
            torch.jit.save(torch.jit.script(cls()), buffer)
            yield cls.__name__, buffer.getvalue()
        except Exception as error:
            print(f"skipped script {cls.__name__}: {error}", file=sys.stderr)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    base = records(buffer.getvalue())
    root = next(iter(base)).split("/")[0]
    code = f"{root}/code/__torch__/torch/nn/modules/linear.py"
    yield "custom-op", pack({**base, code: base[code] + b"\n    a = ops.evil.run(1)\n"})
    yield "custom-class", pack({**base, code: base[code] + b"\n    a : __torch__.torch.classes.evil.Shell\n"})
    for spelling, call in {
        "plain": "torch.from_file('x', True, 4)", "blanks": "torch . from_file ('x', True, 4)", "newline": "torch.\\\n        from_file('x', True, 4)",
        "comment": "(torch # x\n        .from_file)('x', True, 4)", "parentheses": "(torch).from_file('x', True, 4)", "getattr": "getattr(torch, 'from_file')('x', True, 4)",
        "itself": "torch.autograd.from_file('x', True, 4)", "ops": "ops.aten.from_file('x', True, 4)", "ops-blanks": "ops . aten . from_file('x', True, 4)",
        "ops-itself": "ops.quantized.autograd.from_file('x', True, 4)", "ops-getattr": "getattr(getattr(ops, 'aten'), 'from_file')('x', True, 4)",
        "alias": "0\n    t = torch\n    a = t.from_file('x', True, 4)", "ops-alias": "0\n    o = ops\n    a = o.aten.from_file('x', True, 4)",
        "namespace-alias": "0\n    n = ops.aten\n    a = n.from_file('x', True, 4)", "function-alias": "0\n    f = torch.from_file\n    a = f('x', True, 4)",
        "class-alias": "0\n    c = __torch__.torch.classes\n    a = c.evil.Shell", "class-blanks": "annotate(__torch__ . torch . classes . evil . Shell, 0)",
        "network": "ops.prim.rpc_sync('worker', 'f')", "vision": "ops.torchvision.read_file('x')",
    }.items():
        lines = base[code].split(b"\n")
        at = max(i for i, line in enumerate(lines) if line.lstrip().startswith(b"return"))
        yield f"spelling-{spelling}", pack({**base, code: b"\n".join([*lines[:at], f"    a = {call}".encode(), *lines[at:]])})
        nested = f"{root}/code/__torch__/a/b/c/d.py"
        yield f"nested-{spelling}", pack({**base, nested: f"def f(x: Tensor) -> Tensor:\n    a = {call}\n    return x\n".encode()})
    buffer = io.BytesIO(torch.jit.script(torch.nn.Linear(2, 2))._save_to_buffer_for_lite_interpreter())
    lite = records(buffer.getvalue())
    lite_root = next(iter(lite)).split("/")[0]
    bytecode = f"{lite_root}/bytecode.pkl"
    good = lite[bytecode]
    assert b"\x0c\0\0\0aten::linear" in good
    yield "bytecode-save", pack({**lite, bytecode: good.replace(b"\x0c\0\0\0aten::linear", b"\x0a\0\0\0aten::save")})
    yield "bytecode-from-file", pack({**lite, bytecode: good.replace(b"\x0c\0\0\0aten::linear", b"\x0f\0\0\0aten::from_file")})
    yield "bytecode-custom", pack({**lite, bytecode: good.replace(b"\x0c\0\0\0aten::linear", b"\x0c\0\0\0evil::linear")})
    yield "bytecode-pickle", pack({**lite, bytecode: EVIL})
    flat = torch.jit.script(torch.nn.Linear(2, 2))._save_to_buffer_for_lite_interpreter(_use_flatbuffer=True)
    assert flat[4:8] == b"PTMF"
    for name in ("flatbuffer", "flatbuffer.ptl", "flatbuffer.dat", "flatbuffer.txt", "flatbuffer.bin"):
        write(f"script/{name}", flat)
    yield "from-file-op", pack({**base, code: base[code] + b"\n    a = torch.from_file('x', True, 4)\n"})
    yield "data-pickle", pack({**base, f"{root}/data.pkl": EVIL})
    yield "constants-pickle", pack({**base, f"{root}/constants.pkl": EVIL})
    yield "debug-pickle", pack({**base, f"{code}.debug_pkl": EVIL})
    yield "extra-pickle", pack({**base, f"{root}/evil.pkl": EVIL})
    yield "missing-storage", pack({k: v for k, v in base.items() if not k.endswith("data/0")})
    yield "exported", pack({"m/archive_format": b"pt2", "m/version": b"0", "m/data/sample_inputs/model.pt": EVIL, "m/models/model.json": b"{}", "m/data.pkl": EVIL})


def exported():
    """A program of torch.export under every name, and one whose samples are a payload."""
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),)), buffer)
    data = buffer.getvalue()
    for extension in ("pt2", "pt", "bin", "zip", "dat", "txt"):
        yield f"program.{extension}", data
    base = records(data)
    samples = next(name for name in base if name.endswith("sample_inputs/model.pt"))
    yield "samples.pt2", pack({**base, samples: EVIL})
    yield "old.pt2", pack({"serialized_exported_program.json": b"{}", "version": b"1", "serialized_example_inputs.pt": EVIL})
    yield "native.pt2", pack({"m/archive_format": b"pt2", "m/data/aotinductor/model/a.so": b"\x7fELF" + bytes(64)})


def disguises():
    for extension in ("pkl", "pickle", "pt", "pth", "bin", "ckpt", "joblib", "dill", "dat", "txt", "json", "yaml", "py", "png", "model", "weights", "md", "p", "onnx", "safetensors", "gguf", "npy", "h5", "csv"):
        yield f"proto0.{extension}", EVIL0
        yield f"proto2.{extension}", EVIL
        yield f"proto4.{extension}", EVIL4
        yield f"zip.{extension}", pack({"archive/data.pkl": EVIL, "archive/version": b"3\n"})
    yield "noextension", EVIL
    yield "gzip.pkl", gzip.compress(EVIL)
    yield "zlib.pkl", zlib.compress(EVIL)
    yield "xz.joblib", lzma.compress(EVIL)
    yield "bz2.pt", __import__("bz2").compress(EVIL)
    for name, magic in {"rar4": b"Rar!\x1a\x07\x00", "rar5": b"Rar!\x1a\x07\x01\x00", "7z": b"7z\xbc\xaf\x27\x1c\0\4", "zst": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18", "xz": b"\xfd7zXZ\0", "bz2": b"BZh91AY&SY", "gz": b"\x1f\x8b\x08", "lzma": b"\x5d\0\0\x80\0" + b"\xff" * 8, "zlib": b"\x78\x9c", "zlib-fast": b"\x78\x01", "zlib-best": b"\x78\xda"}.items():
        for extension in ("bin", "pt", "joblib", "pkl", "safetensors", "npy"):
            yield f"packed-{name}.{extension}", magic + bytes(32) + EVIL
    for name, payload in {"proto0": EVIL0, "proto2": EVIL, "proto4": EVIL4, "long": EVIL[:-1] + b"0" + uni(b"x" * 60000) + b"."}.items():
        for level in (0, 1, 6, 9):
            for extension in ("sav", "dat", "model", "z", "txt", "json", "png", "pt", "joblib", "md"):
                yield f"deflated/{name}-{level}.{extension}", zlib.compress(payload, level)
        yield f"deflated/{name}-old.dat", b"ZF" + hex(len(payload)).ljust(19).encode() + zlib.compress(payload)
    for folder in ("1_Pooling", "onnx", "a/b/c/d", "MAR-INF", "__MACOSX", ".hidden", "checkpoint-500"):
        for name in ("pytorch_model.bin", "optimizer.pt", "training_args.bin", "rng_state.pth", "scheduler.pt", "model.ckpt", "weights", "tf_model.data", "vocab.txt", "README.md", "x.PT", "x.Pt ", "x.pt.bak", "x.pt~"):
            yield f"folders/{folder}/{name}", EVIL if len(folder) % 2 else pack({"archive/data.pkl": EVIL, "archive/version": b"3\n"})
    for spelling in ("\\u005f\\u005fclass\\u005f_", "__cl\\u0061ss__", "__cl\\x61ss__", "\\\\u005f_class__", "\\\\x5f\\\\137class__", "\\\\N{LOW LINE}_class__", "__class__"):
        yield f"templates/{zlib.crc32(spelling.encode())}/tokenizer_config.json", b'{"chat_template": "{{ x.' + spelling.encode() + b'.__mro }}"}'
        yield f"templates/{zlib.crc32(spelling.encode())}/processor.yaml", b'chat_template: "{{ x.' + spelling.encode() + b' }}"\n'
    yield "templates/padded/tokenizer_config.json", b'{"pad": "' + b" " * (9 << 20) + b'", "chat_template": "{{ x.__class__ }}"}'
    yield "templates/far/chat_template.jinja", b" " * (9 << 20) + b"{{ x.__globals__ }}"
    yield "7z.pt", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(32) + EVIL
    yield "elf.so", b"\x7fELF" + bytes(64)
    yield "elf.bin", b"\x7fELF" + bytes(64)
    yield "elf", b"\x7fELF" + bytes(64)
    yield "elf.txt", b"\x7fELF" + bytes(64)
    yield "library.so.1", bytes(64)
    pe = bytearray(b"MZ" + bytes(126))
    pe[60] = 64
    pe[64:68] = b"PE\0\0"
    yield "program.dat", bytes(pe)
    yield "macho.bin", b"\xcf\xfa\xed\xfe" + bytes(64)
    yield "module.pyc", b"\xa7\r\r\n" + bytes(64)
    yield "hook.pth", b"import os; os.system('id')\n"
    yield "sitecustomize.py", b"import os\n"
    for name in ("sitecustomize/__init__.py", "lib/usercustomize/__init__.py", "a/b/usercustomize.py", "SiteCustomize.py"):
        yield f"hooks/{name}", b"import os\n"
    for mark in (b"PTMF", b"ET12", b"TFL3", b"ORTM"):
        yield f"flat/{mark.decode()}", b"\x18\0\0\0" + mark + bytes(64)
    yield "model.ort", b"\x18\0\0\0ORTM" + bytes(64)
    yield "script.bin", b"#!/bin/sh\nid\n"
    yield "script.pt", b"import os\nos.system('id')\n"
    yield "model.h5", b"\x89HDF\r\n\x1a\n" + bytes(64)
    yield "model.keras", pack({"metadata.json": b"{}", "config.json": b'{"class_name": "Lambda"}', "model.weights.h5": b"\x89HDF\r\n\x1a\n"})
    yield "hdf5.dat", b"\x89HDF\r\n\x1a\n" + bytes(64)
    yield "saved_model.pb", b"\x08\x01"
    yield "picture.png", b"\x89PNG\r\n\x1a\n" + bytes(32) + pack({"a/data.pkl": EVIL})
    yield "notes.txt", b"hello\n" + pack({"a/data.pkl": EVIL})
    yield "tokenizer_config.json", json.dumps({"chat_template": "{{ ''.__class__.__base__.__subclasses__() }}"}).encode()
    yield "random.bin", bytes(range(256)) * 4
    yield "random.pt", b"\x00" * 64
    yield "empty-zip.pt", pack({})


for group, maker in {
    "gadget": pickles_of_gadgets, "technique": techniques,
}.items():
    for name, data in maker():
        write(f"{group}/{name}.pkl", data)
for name, data in techniques():  # the same streams where a checkpoint is expected, and as its record
    write(f"record/{name}.pt", pack({"m/data.pkl": data, "m/version": b"3\n", "m/byteorder": b"little"}))
for name, data in tensors():
    base = records(checkpoint({"x": torch.arange(4.0)}))
    root = next(iter(base)).split("/")[0]
    write(f"tensor/{name}.pt", pack({**base, f"{root}/data.pkl": data}))
for folder, maker, extension in (("zip", torch_zip, ".pt"), ("lie", zip_lies, ".pt"), ("sparse", sparse, ".pt"), ("legacy", legacy, ".pt"), ("tar", tars, ""), ("numpy", numpy_files, ""), ("safetensors", safetensors_files, ".safetensors"), ("gguf", gguf_files, ".gguf"), ("onnx", onnx_files, ".onnx"), ("script", scripts, ".pt"), ("disguise", disguises, ""), ("exported", exported, "")):
    for name, data in maker():
        write(f"{folder}/{name}{extension}", data)
(OUT / "onnx/side.bin-reference.npy").unlink()
print(sum(1 for path in OUT.rglob("*") if path.is_file()))
