// Written by synapse-bundle: a Cloudflare Worker for the route example.org/.well-known/matrix/*

// Byte for byte what Apache serves, from the same templates.
const DOCUMENTS = new Map([
  ["/.well-known/matrix/client", "{\"m.homeserver\": {\"base_url\": \"https://matrix.example.org\"}}\n"],
  ["/.well-known/matrix/server", "{\"m.server\": \"matrix.example.org:443\"}\n"],
]);

// Without these a browser keeps any answer, errors included, from the client.
const CORS = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
  "Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization",
};

export default {
  async fetch(request) {
    const document = DOCUMENTS.get(new URL(request.url).pathname.replace(/\/$/, ""));
    if (request.method === "OPTIONS") {
      return new Response(null, { status: 204, headers: CORS });
    }
    if (document === undefined) {
      return answer(request, 404, '{"errcode":"M_NOT_FOUND","error":"There is no such document."}');
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      const body = '{"errcode":"M_UNRECOGNIZED","error":"This document can only be read."}';
      return answer(request, 405, body, { Allow: "GET, HEAD, OPTIONS" });
    }
    return answer(request, 200, document, { "Cache-Control": "public, max-age=3600" });
  },
};

function answer(request, status, body, headers) {
  return new Response(request.method === "HEAD" ? null : body, {
    status,
    headers: { "Content-Type": "application/json", ...CORS, ...headers },
  });
}
