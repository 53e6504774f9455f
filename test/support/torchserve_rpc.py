"""A gRPC client that shares nothing with the server: its messages are written from TorchServe's documented tables
(surface spec 5.2, 5.3, 5.6). Reads one call as JSON on each line of stdin and answers with one line."""

import json
import sys

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, empty_pb2, json_format, message_factory

INFERENCE = "org.pytorch.serve.grpc.inference"
MANAGEMENT = "org.pytorch.serve.grpc.management"
OPEN_INFERENCE = "org.pytorch.serve.grpc.openinference"

FILES = {
    "google.rpc": {
        "imports": ["google/protobuf/any.proto"],
        "messages": {
            "Status": "1 code int32, 2 message string, 3 details repeated .google.protobuf.Any",
            "ErrorInfo": "1 reason string, 2 domain string",
        },
        "services": {},
    },
    INFERENCE: {
        "imports": ["google/protobuf/empty.proto", "google.rpc"],
        "messages": {
            "PredictionsRequest": "1 model_name string, 2 model_version string, 3 input map bytes, 4 sequence_id optional string",
            "PredictionResponse": "1 prediction bytes, 2 sequence_id optional string, 3 status optional .google.rpc.Status",
            "TorchServeHealthResponse": "1 health string",
        },
        "services": {
            "InferenceAPIsService": {
                "Ping": ".google.protobuf.Empty TorchServeHealthResponse",
                "Predictions": "PredictionsRequest PredictionResponse",
                "StreamPredictions": "PredictionsRequest stream PredictionResponse",
                "StreamPredictions2": "stream PredictionsRequest stream PredictionResponse",
            }
        },
    },
    MANAGEMENT: {
        "imports": [],
        "messages": {
            "ManagementResponse": "1 msg string",
            "DescribeModelRequest": "1 model_name string, 2 model_version string, 3 customized bool",
            "ListModelsRequest": "1 limit int32, 2 next_page_token int32",
            "RegisterModelRequest": "1 batch_size int32, 2 handler string, 3 initial_workers int32, 4 max_batch_delay int32, "
            "5 model_name string, 6 response_timeout int32, 7 runtime string, 8 synchronous bool, 9 url string, "
            "10 s3_sse_kms bool, 11 startup_timeout int32",
            "ScaleWorkerRequest": "1 model_name string, 2 model_version string, 3 max_worker int32, 4 min_worker int32, "
            "5 number_gpu int32, 6 synchronous bool, 7 timeout int32",
            "SetDefaultRequest": "1 model_name string, 2 model_version string",
            "UnregisterModelRequest": "1 model_name string, 2 model_version string",
        },
        "services": {
            "ManagementAPIsService": {
                "DescribeModel": "DescribeModelRequest ManagementResponse",
                "ListModels": "ListModelsRequest ManagementResponse",
                "RegisterModel": "RegisterModelRequest ManagementResponse",
                "ScaleWorker": "ScaleWorkerRequest ManagementResponse",
                "SetDefault": "SetDefaultRequest ManagementResponse",
                "UnregisterModel": "UnregisterModelRequest ManagementResponse",
            }
        },
    },
    OPEN_INFERENCE: {
        "imports": [],
        "messages": {
            "ServerLiveRequest": "",
            "ServerReadyRequest": "",
            "ServerMetadataRequest": "",
            "ServerLiveResponse": "1 live bool",
            "ServerReadyResponse": "1 ready bool",
            "ServerMetadataResponse": "1 name string, 2 version string, 3 extensions repeated string",
            "ModelReadyRequest": "1 name string, 2 version string",
            "ModelReadyResponse": "1 ready bool",
            "ModelMetadataRequest": "1 name string, 2 version string",
            "TensorMetadata": "1 name string, 2 datatype string, 3 shape repeated int64",
            "ModelMetadataResponse": "1 name string, 2 versions repeated string, 3 platform string, "
            "4 inputs repeated TensorMetadata, 5 outputs repeated TensorMetadata",
            "InferTensorContents": "1 bool_contents repeated bool, 2 int_contents repeated int32, 3 int64_contents repeated int64, "
            "4 uint_contents repeated uint32, 5 uint64_contents repeated uint64, 6 fp32_contents repeated float, "
            "7 fp64_contents repeated double, 8 bytes_contents repeated bytes",
            "InferParameter": "1 bool_param bool, 2 int64_param int64, 3 string_param string",
            "Tensor": "1 name string, 2 datatype string, 3 shape repeated int64, 4 parameters map InferParameter, "
            "5 contents InferTensorContents",
            "RequestedOutput": "1 name string, 2 parameters map InferParameter",
            "ModelInferRequest": "1 model_name string, 2 model_version string, 3 id string, 4 parameters map InferParameter, "
            "5 inputs repeated Tensor, 6 outputs repeated RequestedOutput, 7 raw_input_contents repeated bytes",
            "ModelInferResponse": "1 model_name string, 2 model_version string, 3 id string, 4 parameters map InferParameter, "
            "5 outputs repeated Tensor, 6 raw_output_contents repeated bytes",
        },
        "services": {
            "GRPCInferenceService": {
                "ServerLive": "ServerLiveRequest ServerLiveResponse",
                "ServerReady": "ServerReadyRequest ServerReadyResponse",
                "ServerMetadata": "ServerMetadataRequest ServerMetadataResponse",
                "ModelReady": "ModelReadyRequest ModelReadyResponse",
                "ModelMetadata": "ModelMetadataRequest ModelMetadataResponse",
                "ModelInfer": "ModelInferRequest ModelInferResponse",
            }
        },
    },
}

FIELD = descriptor_pb2.FieldDescriptorProto


def typed(field, package, kind):
    """A scalar's name, or a message's: of this package unless it begins with a dot."""
    scalar = "TYPE_" + kind.upper()
    if scalar in FIELD.Type.keys():
        field.type = FIELD.Type.Value(scalar)
    else:
        field.type = FIELD.TYPE_MESSAGE
        field.type_name = kind if kind.startswith(".") else f".{package}.{kind}"


def add_field(message, package, text):
    number, name, *words = text.split()
    field = message.field.add(name=name, number=int(number), label=FIELD.LABEL_OPTIONAL)
    kind = words[-1]
    if words[0] == "map":
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=FIELD.LABEL_OPTIONAL, type=FIELD.TYPE_STRING)
        typed(entry.field.add(name="value", number=2, label=FIELD.LABEL_OPTIONAL), package, kind)
        kind = f".{package}.{message.name}.{entry.name}"
    if words[0] in ("map", "repeated"):
        field.label = FIELD.LABEL_REPEATED
    if words[0] == "optional":
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name="_" + name)
    typed(field, package, kind)


def build_pool():
    pool = descriptor_pool.DescriptorPool()
    for module in (any_pb2, empty_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for package, parts in FILES.items():
        file = descriptor_pb2.FileDescriptorProto(name=package, package=package, syntax="proto3")
        file.dependency.extend(parts["imports"])
        for name, fields in parts["messages"].items():
            message = file.message_type.add(name=name)
            for field in filter(None, fields.split(", ")):
                add_field(message, package, field)
        for name, methods in parts["services"].items():
            service = file.service.add(name=name)
            for method, signature in methods.items():
                words = signature.split()
                plain = [word for word in words if word != "stream"]
                service.method.add(
                    name=method,
                    input_type=plain[0] if plain[0].startswith(".") else f".{package}.{plain[0]}",
                    output_type=plain[1] if plain[1].startswith(".") else f".{package}.{plain[1]}",
                    client_streaming=words[0] == "stream",
                    server_streaming=words[-2] == "stream",
                )
        pool.Add(file)
    return pool


POOL = build_pool()
CHANNELS = {}
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def call(given):
    service = POOL.FindServiceByName(given["service"])
    method = service.FindMethodByName(given["method"])
    request_class = message_factory.GetMessageClass(method.input_type)
    response_class = message_factory.GetMessageClass(method.output_type)
    channel = CHANNELS.setdefault(given["target"], grpc.insecure_channel(given["target"], options=OPTIONS))
    shape = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    ask = getattr(channel, shape)(
        f"/{given.get('wireName', service.full_name)}/{method.name}",
        request_serializer=request_class.SerializeToString,
        response_deserializer=response_class.FromString,
    )
    requests = [json_format.ParseDict(each, request_class(), descriptor_pool=POOL) for each in given["requests"]]
    messages = []

    def show(message):
        messages.append(json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=POOL))

    try:
        settings = {"metadata": [tuple(pair) for pair in given["metadata"]], "timeout": given["timeout"]}
        if given["compression"]:
            settings["compression"] = grpc.Compression.Gzip
        answer = ask(iter(requests) if method.client_streaming else requests[0], **settings)
        for message in answer if method.server_streaming else [answer]:
            show(message)
        return {"messages": messages, "code": 0, "details": ""}
    except grpc.RpcError as error:
        return {"messages": messages, "code": error.code().value[0], "details": error.details()}


for line in sys.stdin:
    print(json.dumps(call(json.loads(line))), flush=True)
