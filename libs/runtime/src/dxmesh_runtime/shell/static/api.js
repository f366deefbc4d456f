// Shows the service's OpenAPI description in Swagger UI; everything comes from this service, nothing from elsewhere.
"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", follow);
  follow();
  const place = document.getElementById("swagger-ui");
  window.SwaggerUIBundle({
    url: place.dataset.openapiUrl,
    domNode: place,
    deepLinking: false, // a link inside the button of each operation would be a control within a control
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    validatorUrl: null,
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
})();
