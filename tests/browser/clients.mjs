// The official clients behind one face, so that one story is told with each: connect-web, and grpc-web in its two formats.
//
// No code is generated: both clients take the contract's descriptors as they are at run time.

import { create, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import * as grpc from "grpc-web";

/** A call that ended with a status other than OK: its code, the reason of its details and the fields they blame. */
export class Refused extends Error {
  constructor(code, message, details) {
    const info = details.find((detail) => detail.$typeName === "google.rpc.ErrorInfo");
    const bad = details.find((detail) => detail.$typeName === "google.rpc.BadRequest");
    super(`code ${code}, reason ${info?.reason}: ${message}`);
    Object.assign(this, { code, reason: info?.reason, fields: bad?.fieldViolations.map((violation) => violation.field) ?? [] });
  }
}

/** The contract, read from a serialized `FileDescriptorSet`. */
export function contract(bytes) {
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
}

/**
 * Every client there is, for the suite at `url`.
 *
 * `streams` says that a message of a stream is seen when it comes: connect-web's fetch does that everywhere, grpc-web's XMLHttpRequest in text on a
 * page alone. Each client has `call(service, method, input, options)`, which answers the message, and `open(...)`, which answers a stream of
 * `next()` (undefined at its end) and `cancel()`. Options: `headers`, `deadlineMs`.
 */
export function clients(url, registry, isPage) {
  return [connectWeb(url, registry), grpcWeb(url, registry, "binary", false), grpcWeb(url, registry, "text", isPage)];
}

function connectWeb(url, registry) {
  const transport = createGrpcWebTransport({ baseUrl: url });
  const refused = (error) => {
    const { code, rawMessage, details } = ConnectError.from(error);
    const known = details.map((detail) => fromBinary(registry.getMessage(detail.type), detail.value));
    return new Refused(code, rawMessage, known);
  };
  const start = (service, method, input, { headers, deadlineMs }, signal) =>
    createClient(registry.getService(service), transport)[method](input, { headers, timeoutMs: deadlineMs, signal });
  return {
    name: "connect-web",
    streams: true,
    async call(service, method, input, options) {
      try {
        return await start(service, method, input, options);
      } catch (error) {
        throw refused(error);
      }
    },
    open(service, method, input, options) {
      const abort = new AbortController();
      const messages = start(service, method, input, options, abort.signal)[Symbol.asyncIterator]();
      const next = () => messages.next().then(({ value }) => value, (error) => Promise.reject(refused(error)));
      return { next, cancel: () => abort.abort() };
    },
  };
}

function grpcWeb(url, registry, format, streams) {
  const base = new grpc.GrpcWebClientBase({ format });
  const refused = ({ code, message, metadata }) => {
    const text = atob(metadata?.["grpc-status-details-bin"] ?? "");
    const status = fromBinary(registry.getMessage("google.rpc.Status"), Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
    const details = status.details.map((any) => fromBinary(registry.getMessage(any.typeUrl.split("/").pop()), any.value));
    return new Refused(code, message, details);
  };
  // What grpc-web's start functions take: address, message, metadata, descriptor.
  const arguments_ = (service, local, input, { headers, deadlineMs }) => {
    const method = registry.getService(service).method[local];
    const path = `/${service}/${method.name}`;
    const type = method.methodKind === "unary" ? grpc.MethodType.UNARY : grpc.MethodType.SERVER_STREAMING;
    const [encode, decode] = [(message) => toBinary(method.input, message), (bytes) => fromBinary(method.output, bytes)];
    const deadline = deadlineMs ? { deadline: String(Date.now() + deadlineMs) } : {};
    const descriptor = new grpc.MethodDescriptor(path, type, Object, Object, encode, decode);
    return [url + path, create(method.input, input), { ...headers, ...deadline }, descriptor];
  };
  return {
    name: `grpc-web ${format}`,
    streams,
    call: (...call) => base.unaryCall(...arguments_(...call)).catch((error) => Promise.reject(refused(error))),
    open(...call) {
      const stream = base.serverStreaming(...arguments_(...call));
      const [come, waiting] = [[], []];
      const arrive = (message, error) => {
        come.push({ message, error });
        waiting.shift()?.();
      };
      stream.on("data", (message) => arrive(message));
      stream.on("error", (error) => arrive(undefined, refused(error)));
      stream.on("end", () => arrive());
      const next = async () => {
        if (come.length === 0) await new Promise((resolve) => waiting.push(resolve));
        const { message, error } = come.shift();
        if (error) throw error;
        return message;
      };
      return { next, cancel: () => stream.cancel() };
    },
  };
}
