// Written by synapse-bundle: a Cloudflare Worker for the route chat.example.org/.well-known/matrix/*

// Byte for byte what Apache serves, from the same templates.
const DOCUMENTS = new Map([
  ["/.well-known/matrix/client", "{\"m.homeserver\": {\"base_url\": \"https://synapse.example.net\"}}\n"],
  ["/.well-known/matrix/server", "{\"m.server\": \"synapse.example.net:443\"}\n"],
  ["/.well-known/matrix/support", "{\"contacts\": [{\"role\": \"m.role.admin\", \"email_address\": \"o'brien\\\\\\\"${HOME}%{x}{{y}}<z>]]>&#@example.org\", \"matrix_id\": \"@admin:example.org\"}], \"support_page\": \"https://example.org/contact?a=b&c=%7B#d\"}\n"],
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
      return passThrough(request);
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

async function passThrough(request) {
  try {
    const passed = await fetch(request);
    // What fetch returns cannot be changed; a copy can.
    const copy = new Response(passed.body, passed);
    Object.entries(CORS).forEach(([name, value]) => copy.headers.set(name, value));
    return copy;
  } catch {
    const body = '{"errcode":"M_UNKNOWN","error":"The web server of this domain cannot be reached."}';
    return answer(request, 502, body);
  }
}
