// Validate AsyncAPI documents with the reference parser: `node validate.mjs FILE…`; ends with 1 when one is not valid.
import { readFileSync } from "node:fs";
import parser from "@asyncapi/parser";

let failed = false;
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await new parser.Parser().parse(readFileSync(file, "utf-8"));
  const errors = diagnostics.filter((one) => one.severity === 0);
  for (const one of errors) console.log(`${file}: ${one.path.join("/")}: ${one.message}`);
  if (document === undefined || errors.length > 0) failed = true;
}
process.exit(failed ? 1 : 0);
