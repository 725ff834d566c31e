/** What programs that people already use must be told. The key stays out of the page. */

import { useState } from "preact/hooks";
import { Cli, Snippet } from "../parts/copy";
import { Empty } from "../parts/empty";
import { cluster } from "../store/cluster";
import type { Model } from "../wire/state";

const CA = "ca.crt";
const TALKS = ["chat", "completion"];

export function ConnectPage() {
  const state = cluster.value;
  const names = Object.keys(state?.models ?? {}).sort();
  const [chosen, setChosen] = useState<string | null>(null);
  if (!state) return null;
  const model = chosen ?? names.find((name) => talks(state.models[name])) ?? names[0];
  const lan = window.location.protocol === "https:"; // then the page came by the network, and so will programs
  const base = lan ? `${window.location.origin}/v1` : state.endpoint;
  const root = base.replace(/\/v1\/?$/, "");
  const where = lan ? ` --url ${window.location.origin} --ca ${CA}` : "";
  if (!model) {
    return (
      <Empty
        text="There is no model to talk to yet. Name one in cluster.yaml, then:"
        command="potluck config apply cluster.yaml"
      />
    );
  }
  return (
    <>
      <Cli command={`potluck connect codex --model ${model}${where}`} />
      <p class="note">
        Where these say <code>POTLUCK_API_KEY</code>, put a key: <code>potluck keys create --name NAME</code> makes one
        that may only ask, and prints it once.
      </p>
      {lan && (
        <p class="note">
          Programs must trust who vouches for {root}: <code>{CA}</code>, which is <code>ca/ca.crt</code> in the head's state
          directory. Copy it to the machine that connects; a machine of the cluster has it already and needs no{" "}
          <code>--ca</code>. With a certificate of your own (<code>gateway.lan.certificate</code>) leave it out.
        </p>
      )}
      <div class="questions">
        <label>
          Model
          <select value={model} onChange={(event) => setChosen(event.currentTarget.value)}>
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="snippets">
        <Snippet title="OpenAI clients" text={environment(base, lan)} note="Most programs read these variables." />
        <Snippet title="Python" text={python(base, model)} />
        <Snippet title="curl" text={curl(base, model, lan)} />
        <Snippet
          title="Codex"
          text={`potluck connect codex --model ${model}${where} --write`}
          note="Writes ~/.codex/config.toml and .env beside what they say; --restore takes it back."
        />
        <Snippet
          title="Claude Code"
          text={`potluck connect claude --model ${model}${where} --write`}
          note="Writes ~/.claude/settings.json beside what it says; --restore takes it back."
        />
        <Snippet title="Claude Code, in one shell" text={claude(root, model, lan)} note="Writes nothing." />
        <Snippet
          title="Open WebUI"
          text={`potluck connect openwebui --model ${model}${where} --write`}
          note="Writes a file of variables for its server, and says how to start it with them."
        />
      </div>
    </>
  );
}

function talks(model: Model | undefined): boolean {
  return model?.capabilities.some((one) => TALKS.includes(one)) ?? false;
}

function environment(base: string, lan: boolean): string {
  const trust = lan ? `\nexport SSL_CERT_FILE=${CA}` : "";
  return `export OPENAI_BASE_URL=${base}\nexport OPENAI_API_KEY="$POTLUCK_API_KEY"${trust}`;
}

function python(base: string, model: string): string {
  return [
    "import os",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${base}",`,
    '                api_key=os.environ["POTLUCK_API_KEY"])',
    "answer = client.chat.completions.create(",
    `    model="${model}", messages=[{"role": "user", "content": "Say hello."}]`,
    ")",
    "print(answer.choices[0].message.content)",
  ].join("\n");
}

function curl(base: string, model: string, lan: boolean): string {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Say hello." }] });
  return [
    `curl ${lan ? `--cacert ${CA} ` : ""}${base}/chat/completions \\`,
    '  -H "authorization: Bearer $POTLUCK_API_KEY" \\',
    '  -H "content-type: application/json" \\',
    `  -d '${body}'`,
  ].join("\n");
}

function claude(root: string, model: string, lan: boolean): string {
  return [
    `export ANTHROPIC_BASE_URL=${root}`,
    'export ANTHROPIC_AUTH_TOKEN="$POTLUCK_API_KEY"',
    `export ANTHROPIC_MODEL=${model}`,
    `export ANTHROPIC_DEFAULT_HAIKU_MODEL=${model}`,
    ...(lan ? [`export NODE_EXTRA_CA_CERTS=${CA}`] : []),
    "claude",
  ].join("\n");
}
