// The web server of the server name, as a Worker's fetch() finds it.
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname.endsWith("/broken")) {
      throw new Error("nobody listens");
    }
    if (pathname.endsWith("/moved")) {
      return new Response(null, { status: 302, headers: { Location: "https://elsewhere.example/" } });
    }
    const { method, url, headers } = request;
    const seen = { method, url, headers: Object.fromEntries(headers), body: await request.text() };
    return new Response(JSON.stringify(seen), {
      status: 203,
      headers: { "X-Origin": "here", "Access-Control-Allow-Origin": "https://one.example" },
    });
  },
};
