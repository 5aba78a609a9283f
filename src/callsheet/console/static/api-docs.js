// Shows the API description. Nothing is loaded from another server: no validator, no fonts.
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
});

// Swagger UI has a dark theme, but leaves its choice to the page.
const dark = matchMedia("(prefers-color-scheme: dark)");
const chooseTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", chooseTheme);
chooseTheme();
