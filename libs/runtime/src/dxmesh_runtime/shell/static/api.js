// Shows the service's OpenAPI description in Swagger UI; everything comes from this service, nothing from elsewhere.
"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", follow);
  follow();
  const place = document.getElementById("swagger-ui");

  /** Return the description with only the operation or part at a path, and the components it refers to. */
  const only = (spec, path) => {
    const cut = { openapi: spec.openapi, info: spec.info, paths: {}, components: {} };
    const waiting = [path];
    const seen = new Set();
    while (waiting.length) {
      const at = waiting.pop();
      const key = JSON.stringify(at);
      const part = at.reduce((whole, name) => whole?.[name], spec);
      if (part === undefined || seen.has(key)) continue;
      seen.add(key);
      at.slice(0, -1).reduce((whole, name) => (whole[name] ??= {}), cut)[at.at(-1)] = part;
      for (const [, pointer] of JSON.stringify(part).matchAll(/"\$ref":"#\/([^"]+)"/g))
        waiting.push(pointer.split("/").map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~")));
    }
    return cut;
  };

  // Swagger UI makes a tree of the whole description of whatever it is to show a part of: seconds for a hundred operations
  const inParts = (system) => {
    const whole = system.fn.resolveSubtree;
    return { fn: { resolveSubtree: (spec, path, options) => whole(path.length ? only(spec, path) : spec, path, options) } };
  };
  // JSON is JSON: Swagger UI would read it as YAML
  const asJson = () => ({
    statePlugins: { spec: { wrapActions: { parseToJson: (_, system) => (text) => system.specActions.updateJsonSpec(JSON.parse(text)) } } },
  });

  window.SwaggerUIBundle({
    url: place.dataset.openapiUrl,
    domNode: place,
    deepLinking: false, // a link inside the button of each operation would be a control within a control
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    validatorUrl: null,
    plugins: [inParts, asJson],
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
})();
