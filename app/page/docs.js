/** The description of the API, drawn by Swagger UI. */

/* global SwaggerUIBundle */

SwaggerUIBundle({ dom_id: "#api", url: "openapi.json", validatorUrl: null });
