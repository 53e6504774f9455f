// Everything an inspection can say about a model file, in one table: how bad it is and what to do about it.
// docs/admission.md is generated from this table; which severities deny is decided in policy/admission.ts.

export type Severity = 'info' | 'low' | 'medium' | 'high' | 'critical';

export interface FindingEntry {
  readonly severity: Severity;
  readonly meaning: string;
  readonly remedy: string;
}

const SAVE_STATE_DICT = 'Save only tensors and plain containers: torch.save(model.state_dict(), path), or safetensors.';
const DAMAGED = 'Download or write the file again; compare its sha256 with the publisher’s.';

export const FINDINGS = {
  // Pickle: the stream asks the reader to import or call something.
  pickle_not_allowed: {
    severity: 'critical',
    meaning: 'A pickle names a global that torch.load(weights_only=True) would not import.',
    remedy: SAVE_STATE_DICT,
  },
  pickle_estimator: {
    severity: 'critical',
    meaning: 'A pickle or joblib file of scikit-learn, XGBoost or the like: reading it calls whatever it names.',
    remedy: 'Export the estimator to ONNX (skl2onnx, onnxmltools).',
  },
  pickle_numpy: {
    severity: 'critical',
    meaning: 'A pickle holds NumPy objects, which only an unrestricted reader can rebuild.',
    remedy:
      'Make them tensors or plain numbers before saving (torch.from_numpy(x), float(x)), or save arrays with np.save.',
  },
  pickle_call_not_allowed: {
    severity: 'critical',
    meaning: 'A pickle calls, builds or fills something in a way no tensor file needs.',
    remedy: SAVE_STATE_DICT,
  },
  pickle_opcode_not_allowed: {
    severity: 'high',
    meaning: 'A pickle uses an instruction that no tensor file needs (INST, OBJ, EXT, PERSID, NEWOBJ_EX, buffers).',
    remedy: SAVE_STATE_DICT,
  },
  pickle_malformed: {
    severity: 'high',
    meaning: 'A pickle stream is damaged or inconsistent; a broken stream runs its payload before it fails.',
    remedy: DAMAGED,
  },
  pickle_trailing_data: {
    severity: 'high',
    meaning: 'Bytes or further pickles follow where the stream must end.',
    remedy: 'Write one object per file; remove what follows it.',
  },
  pickle_limit: {
    severity: 'high',
    meaning: 'A pickle is larger or deeper than any tensor file has reason to be.',
    remedy: 'Move bulk data into tensors, or convert the file to safetensors.',
  },
  pickle_not_weights_only: {
    severity: 'low',
    meaning:
      'The pickle is harmless, but torch.load(weights_only=True) does not read it: another protocol, or an old format.',
    remedy: 'Convert it with davy convert, or save it again with torch.save and its default settings.',
  },

  // Checkpoints around the pickle.
  torch_layout: {
    severity: 'high',
    meaning: 'A torch checkpoint has records that torch.save does not write, or lacks one that it does.',
    remedy: 'Save the checkpoint again with torch.save.',
  },
  torch_storage_mismatch: {
    severity: 'high',
    meaning: 'A tensor reaches outside its storage, or a storage is missing or of another size than declared.',
    remedy: DAMAGED,
  },
  torch_tar: {
    severity: 'high',
    meaning: 'The file is a torch tar checkpoint (before 0.2); its loader cannot be restricted.',
    remedy: 'Load it once in a sandbox and save it again with a current torch.',
  },
  torch_exported_program: {
    severity: 'high',
    meaning: 'The file is a torch.export or AOTInductor package: serialized programs and native code.',
    remedy: 'Export to ONNX or TorchScript, or let the operator allow it for this model.',
  },
  torchscript_code: {
    severity: 'low',
    meaning: 'The file is a TorchScript program: code, not data. It runs only inside the worker’s cage.',
    remedy: 'Prefer a state_dict or ONNX where the model allows it.',
  },
  torchscript_operator: {
    severity: 'critical',
    meaning: 'A TorchScript program uses operators that reach files, other libraries or Python.',
    remedy: 'Remove the operator from the program and script the model again.',
  },

  // Other formats.
  npy_object_array: {
    severity: 'critical',
    meaning: 'A NumPy file holds Python objects: a pickle in disguise.',
    remedy: 'Save numeric arrays only (np.save(..., allow_pickle=False)).',
  },
  npy_malformed: { severity: 'high', meaning: 'A NumPy file breaks its format.', remedy: DAMAGED },
  safetensors_malformed: { severity: 'high', meaning: 'A safetensors file breaks its format.', remedy: DAMAGED },
  onnx_malformed: { severity: 'high', meaning: 'An ONNX file breaks its format or its limits.', remedy: DAMAGED },
  onnx_external_data: {
    severity: 'critical',
    meaning: 'An ONNX model refers to data outside the archive, or outside the file it names.',
    remedy: 'Keep external data files beside the model, by plain relative names, inside the archive.',
  },
  onnx_custom_operator: {
    severity: 'high',
    meaning: 'An ONNX model uses operators that a native or Python library must supply.',
    remedy: 'Export with standard operators, or let the operator allow custom operators for this model.',
  },
  gguf_malformed: { severity: 'high', meaning: 'A GGUF file breaks its format.', remedy: DAMAGED },
  template_injection: {
    severity: 'high',
    meaning: 'A chat template walks Python internals.',
    remedy: 'Replace the template by one that only formats messages.',
  },
  remote_code_reference: {
    severity: 'low',
    meaning: 'A configuration file points at Python code to import (auto_map, trust_remote_code).',
    remedy: 'Load with trust_remote_code=False, or review the code it names.',
  },
  unsupported_model_format: {
    severity: 'high',
    meaning: 'The format (HDF5, Keras, TensorFlow, a mobile program) can carry code and is not vetted.',
    remedy: 'Convert the weights to safetensors or ONNX.',
  },

  // Name, content and container.
  content_mismatch: {
    severity: 'high',
    meaning: 'The content is not what the file’s name says.',
    remedy: 'Give the file the extension of its real format.',
  },
  unrecognised_content: {
    severity: 'medium',
    meaning: 'A file named as a model has a content that no validator knows.',
    remedy: 'Convert the weights to safetensors, ONNX or a torch state_dict.',
  },
  polyglot: {
    severity: 'high',
    meaning: 'The file is valid in more than one format; different readers would see different contents.',
    remedy: 'Write the file again in one format.',
  },
  compressed_content: {
    severity: 'high',
    meaning: 'A model file is compressed as a whole, so that its content cannot be vetted.',
    remedy: 'Store the model uncompressed; the archive compresses it.',
  },
  nested_archive: {
    severity: 'medium',
    meaning: 'An archive lies inside the archive.',
    remedy: 'Put the files themselves into the archive.',
  },
  container_malformed: {
    severity: 'high',
    meaning: 'A zip or tar container breaks the strict rules for model archives.',
    remedy: 'Build the archive again with torch-model-archiver or davy archive.',
  },
  manifest_invalid: {
    severity: 'high',
    meaning: 'MAR-INF/MANIFEST.json, or the configuration it names, is malformed or refers to what is not there.',
    remedy: 'Build the archive again with torch-model-archiver or davy archive.',
  },
  inspection_failed: {
    severity: 'high',
    meaning: 'The file could not be read to its end, or the inspection itself failed.',
    remedy: 'Check the file’s permissions and the disk; report the file if it persists.',
  },
  entry_not_scanned: {
    severity: 'high',
    meaning:
      'Something in a scanned folder is no file that can be looked at: a link out of it, a pipe, a device, an odd name.',
    remedy:
      'Scan the target of the link as well (davy scan FOLDER TARGET), put the file itself there, or remove the entry.',
  },
  limit_exceeded: {
    severity: 'high',
    meaning: 'The file is beyond the limits of the inspection.',
    remedy: 'Split the model into smaller files, or raise the limit for this model.',
  },
  executable_content: {
    severity: 'critical',
    meaning: 'A native program or library, or Python bytecode.',
    remedy: 'Remove it; install native dependencies in the worker’s own environment.',
  },
  python_startup_hook: {
    severity: 'high',
    meaning: 'A file that Python would run by itself at start (.pth, sitecustomize, usercustomize).',
    remedy: 'Remove it from the archive.',
  },

  // Provenance: who made the model, and whether it is still what they made.
  signature_missing: {
    severity: 'high',
    meaning: 'The trust policy wants a signature, and the model has none.',
    remedy: 'Sign it with davy sign, or with any tool for OpenSSF Model Signing, and put the signature beside it.',
  },
  signature_invalid: {
    severity: 'critical',
    meaning: 'The signature is damaged, forged, or of a kind that is not accepted.',
    remedy: 'Get model and signature again from their publisher; sign again with a P-256, P-384 or P-521 key.',
  },
  signature_untrusted: {
    severity: 'high',
    meaning: 'The signature is by nobody whom the trust policy accepts for this model, or its certificate has run out.',
    remedy: 'Have an accepted signer sign it, or add the signer to the rule for this model in the trust policy.',
  },
  signature_mismatch: {
    severity: 'critical',
    meaning: 'A file was changed, added or removed after the model was signed.',
    remedy: 'Get the model again from its publisher; if the change is yours, sign it again.',
  },
  digest_not_pinned: {
    severity: 'high',
    meaning: 'The model’s sha256 is not one that the trust policy lists.',
    remedy: 'Compare with sha256sum; add the digest to the rule for this model if it is the right one.',
  },
  format_not_allowed: {
    severity: 'high',
    meaning: 'A file has a model format that the trust policy does not allow for this model.',
    remedy: 'Convert it to an allowed format (davy convert makes safetensors), or add the format to the rule.',
  },
  scanner_required: {
    severity: 'high',
    meaning: 'The trust policy wants a scanner for this model that is not configured as a required one.',
    remedy: 'Add it to the scanners key with mode required, or take it out of the rule for this model.',
  },
  model_not_trusted: {
    severity: 'high',
    meaning: 'The trust policy has no rule that lets this model in.',
    remedy: 'Add a rule for its name to the trust policy.',
  },
  version_digest_changed: {
    severity: 'high',
    meaning: 'This name and version was registered before with another content, and a version may not change.',
    remedy: 'Give the new content a new version, or release the old one on purpose: davy models forget NAME VERSION.',
  },

  // What the operator's own scanners say.
  scanner_detected: {
    severity: 'critical',
    meaning: 'A required scanner calls the file malicious.',
    remedy: 'Do not use the file. If the scanner is wrong, correct its signatures or exclude the extension from it.',
  },
  scanner_unanswered: {
    severity: 'high',
    meaning: 'A required scanner gave no clear verdict: unreachable, too slow, refused the file, or does not know it.',
    remedy: 'Start or repair the scanner, or raise its limits; then register the model again.',
  },
  scanner_warning: {
    severity: 'low',
    meaning: 'An advisory scanner calls the file malicious.',
    remedy: 'Look at the file; make the scanner required where its word shall count.',
  },
  scanner_skipped: {
    severity: 'low',
    meaning: 'An advisory scanner gave no clear verdict.',
    remedy: 'Start or repair the scanner, or remove it from the configuration.',
  },

  // Code by design: shown for what it is, trusted by policy, caged.
  python_code: {
    severity: 'info',
    meaning: 'A Python source file. It is code: judged by trust and caged, never by this summary.',
    remedy: 'Review it, or require a signature.',
  },
  python_requirements: {
    severity: 'info',
    meaning: 'A requirements file. Nothing is installed from it by default.',
    remedy: 'Pin every requirement with name==version and --hash.',
  },
} as const satisfies Record<string, FindingEntry>;

export type FindingCode = keyof typeof FINDINGS;

/** One thing an inspection has to say about one place. */
export interface Finding {
  readonly code: FindingCode;
  readonly severity: Severity;
  /** Path inside the archive; nested containers are joined with `!/`. Empty for the file itself. */
  readonly member: string;
  /** Bytes from the start of the member. */
  readonly offset?: number;
  readonly message: string;
  readonly remedy: string;
}

/** Makes a finding of `code`; `message` may quote the file and is therefore cleaned of control characters. */
export function makeFinding(code: FindingCode, message: string, member = '', offset?: number): Finding {
  const { severity, remedy } = FINDINGS[code] as FindingEntry;
  const text = printable(message);
  return offset === undefined
    ? { code, severity, member, message: text, remedy }
    : { code, severity, member, offset, message: text, remedy };
}

const MAX_MESSAGE_CHARS = 400;

/** Names out of a hostile file go to terminals and logs: no escapes, no line breaks, no bidi overrides. */
function printable(text: string): string {
  const cut = text.length > MAX_MESSAGE_CHARS ? `${text.slice(0, MAX_MESSAGE_CHARS)}…` : text;
  return cut.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, '�');
}
