// Whether the documents that are published are what they say they are: the official parser of
// AsyncAPI and a validator of OpenAPI read them. Arguments: files. Prints what is wrong, if anything.
import { readFileSync } from "node:fs";
import SwaggerParser from "@apidevtools/swagger-parser";
import { DiagnosticSeverity, Parser } from "@asyncapi/parser";

async function complaints(file) {
  const document = JSON.parse(readFileSync(file, "utf8"));
  if (document.openapi) {
    return SwaggerParser.validate(document).then(() => [], (refused) => [refused.message]);
  }
  const { document: read, diagnostics } = await new Parser().parse(document);
  const wrong = diagnostics.filter((each) => each.severity === DiagnosticSeverity.Error);
  if (!read && !wrong.length) return ["it is no AsyncAPI document"];
  return wrong.map((each) => `${each.path.join("/")}: ${each.message}`);
}

let refused = false;
for (const file of process.argv.slice(2)) {
  for (const complaint of await complaints(file)) {
    console.log(`${file}: ${complaint}`);
    refused = true;
  }
}
process.exit(refused ? 1 : 0);
