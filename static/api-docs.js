// Starts Swagger UI or ReDoc, whichever this page brings. Runs before their bundles.
"use strict";

function startSwagger(place) {
  SwaggerUIBundle({
    url: place.dataset.schema,
    domNode: place,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    validatorUrl: null, // it would send the schema's address to its maker's host
    requestInterceptor: (request) => {
      if (request.method && request.method !== "GET") request.headers[place.dataset.csrfHeader] = place.dataset.csrf;
      return request;
    },
  });
}

function startRedoc(place) {
  const sans = "ui-sans-serif, system-ui, sans-serif";
  const mono = "ui-monospace, Menlo, Consolas, monospace";
  const theme = { typography: { fontFamily: sans, headings: { fontFamily: sans }, code: { fontFamily: mono } } };
  Redoc.init(place.dataset.schema, { nonce: place.dataset.nonce, scrollYOffset: 45, theme }, place);
}

// Its bundle writes a style as soon as it is read, before anybody can tell it the nonce.
function giveStylesTheNonce(nonce) {
  const create = document.createElement;
  document.createElement = function (...asked) {
    const made = create.apply(this, asked);
    if (made instanceof HTMLStyleElement) made.nonce = nonce;
    return made;
  };
}

// It shows its maker's logo from its maker's host. Nothing is loaded from there.
function loadNoForeignImages() {
  const ours = (address) => address.startsWith("data:") || new URL(address, location.href).origin === location.origin;
  const setAttribute = Element.prototype.setAttribute;
  const src = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
  HTMLImageElement.prototype.setAttribute = function (name, value) {
    if (name !== "src" || ours(String(value))) setAttribute.call(this, name, value);
  };
  Object.defineProperty(HTMLImageElement.prototype, "src", {
    ...src,
    set(value) {
      if (ours(String(value))) src.set.call(this, value);
      else this.dispatchEvent(new Event("error")); // then it hides the picture
    },
  });
}

const swagger = document.getElementById("swagger-ui");
const redoc = document.getElementById("redoc");
if (redoc) {
  giveStylesTheNonce(redoc.dataset.nonce);
  loadNoForeignImages();
}
addEventListener("DOMContentLoaded", () => (swagger ? startSwagger(swagger) : startRedoc(redoc)));
