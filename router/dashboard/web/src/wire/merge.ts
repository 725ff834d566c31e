/** RFC 7396: what a patch makes of a document. Parts that the patch does not name stay the same objects. */

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export function merged<Document>(document: Document, patch: unknown): Document {
  return apply(document as Json, patch as Json) as Document;
}

function apply(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result: { [key: string]: Json } = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = apply(result[key], value);
  }
  return result;
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
