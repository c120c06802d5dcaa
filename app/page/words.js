/** What the page says, in every language it speaks. */

const languages = {
  en: {
    tagline: "Ranks documents by how well they answer a query.",
    key: "API key",
    keyHint:
      "One of those in RERANKER_API_KEY. It stays in this page and is forgotten when you leave it.",
    query: "Query",
    documents: "Documents, one per line",
    addFiles: "Add files",
    fileHint:
      "or drop them anywhere: .txt has a document per line, .jsonl a string or an object with “text”.",
    topN: "Results to show (top_n)",
    all: "all",
    instruction: "Instruction, if wanted",
    instructionExample: "Prefer official sources",
    split: "Split long ones into passages",
    splitHint: "A document longer than the model reads is ranked by its best passage, not cut.",
    cut: "cut: longer than the model reads",
    rank: "Rank",
    shortcut: "or Ctrl / ⌘ + Enter anywhere",
    results: "Results",
    copy: "Copy as curl",
    copied: "Copied",
    copyByHand: "This browser lets no page copy over plain HTTP. Copy the selected text by hand:",
    api: "Description of the API",
    remove: "Remove",
    removeFile: (name) => `Remove ${name}`,

    nothing:
      "Nothing ranked yet. Type a query and some documents to see which of them answer it best.",
    fillIn: "Fill in an example",
    example: {
      query: "How do I keep basil alive through the winter?",
      documents: [
        "Tomatoes ripen faster when the lowest leaves are cut off in August.",
        "Move basil indoors before the first frost and give it a bright south window, away from cold draughts.",
        "Pesto is made of basil, pine nuts, garlic, olive oil and hard cheese.",
        "Basil is a tropical plant: below 10 °C its leaves turn black and it dies within days.",
        "Our garden centre is closed from 24 December to 6 January.",
        "In winter, water basil only when the top of the soil is dry, and pinch off its flowers.",
      ],
    },

    noQuery: "Type a query: documents are ranked by how well they answer it.",
    noDocuments: "Type at least one document, or add a file of them.",
    badTopN: "A whole number from 1, or nothing for all of them.",
    fileProblem: {
      name: (file) => `${file} was not added: only .txt and .jsonl files are read.`,
      unreadable: (file) =>
        `${file} was not added: it could not be read. Is it a folder, or has it moved?`,
      encoding: (file) =>
        `${file} was not added: it is not UTF-8 text. Save it as UTF-8 and add it again.`,
      line: (file, line) =>
        `${file} was not added: line ${line} is neither a JSON string nor a JSON object with a string “text”.`,
      empty: (file) => `${file} was not added: it holds no documents.`,
    },

    count: (n) => (n === 1 ? "1 document" : `${number(n)} documents`),
    ranking: (n) => `Ranking ${words.count(n)}…`,
    summary: (shown, n, seconds, tokens) =>
      `${shown < n ? `Best ${number(shown)} of ` : ""}${words.count(n)} · ${duration(seconds)} · ${number(tokens)} tokens`,
    score: "score",
    origin: (position) => `document ${number(position)}`,
    up: (places) => `up ${number(places)}`,
    down: (places) => `down ${number(places)}`,
    same: "same place",
    scale: ({ score, score_range: [low, high], kind }) =>
      `Scores ${{ cosine: "are cosines", "calibrated probability": "are calibrated probabilities" }[score] ?? "lie"} between ${number(low)} and ${number(high)}` +
      (kind === "listwise" ? ": compare them within one ranking, not across rankings." : "."),

    failures: {
      unreachable: [
        "The service does not answer",
        "It was stopped, or the connection to it broke. Check that it runs, then submit again; what you typed is still here.",
      ],
      401: [
        "A key is needed",
        "Type a key that this service knows into the field “API key”, then submit again.",
      ],
      413: [
        "Too much for one request",
        "Remove documents, or raise the limit that the service names:",
      ],
      422: ["The service refused the request", "Change what it names, then submit again:"],
      429: [
        "The service is busy",
        "More requests wait than it takes. Wait a few seconds, then submit again.",
      ],
      503: [
        "The model is not ready",
        "It is loading or has just been restarted. Wait a few seconds, then submit again.",
      ],
      504: ["The ranking took too long", "Send fewer or shorter documents, or allow more time:"],
      other: [
        "The service failed",
        "Submit again; if that does not help, the service's log says more.",
      ],
    },
  },

  ko: {
    tagline: "질의에 얼마나 잘 답하는지에 따라 문서의 순위를 매깁니다.",
    key: "API 키",
    keyHint:
      "RERANKER_API_KEY에 있는 키 가운데 하나입니다. 이 화면에만 남고 화면을 떠나면 지워집니다.",
    query: "질의",
    documents: "문서 (한 줄에 하나)",
    addFiles: "파일 추가",
    fileHint:
      "화면 어디에나 끌어다 놓아도 됩니다. .txt는 한 줄이 문서 하나, .jsonl은 한 줄이 문자열 또는 “text”가 있는 객체입니다.",
    topN: "표시할 결과 수 (top_n)",
    all: "전체",
    instruction: "지시문 (선택)",
    instructionExample: "공식 자료를 우선",
    split: "길면 구절로 나누기",
    splitHint: "모델이 읽는 길이보다 긴 문서를 자르지 않고 가장 좋은 구절로 순위를 매깁니다.",
    cut: "잘림: 모델이 읽는 길이보다 깁니다",
    rank: "순위 매기기",
    shortcut: "또는 어디서나 Ctrl / ⌘ + Enter",
    results: "결과",
    copy: "curl 명령으로 복사",
    copied: "복사했습니다",
    copyByHand:
      "암호화되지 않은 HTTP에서는 브라우저가 복사를 막습니다. 선택된 글을 직접 복사하세요.",
    api: "API 설명서",
    remove: "빼기",
    removeFile: (name) => `${name} 빼기`,

    nothing:
      "아직 결과가 없습니다. 질의와 문서를 입력하면 어느 문서가 가장 잘 답하는지 볼 수 있습니다.",
    fillIn: "예시 채우기",
    example: {
      query: "내일 회의는 언제인가요?",
      documents: [
        "오늘 점심은 구내식당에서 김치찌개를 먹었습니다.",
        "내일 오후 2시에 3층 회의실에서 품질 회의가 있습니다.",
        "지난주 회의록은 공유 폴더에 올려 두었습니다.",
        "회의실 예약은 사내 포털에서 할 수 있습니다.",
        "내일은 전국에 비가 오고 기온이 크게 떨어지겠습니다.",
        "품질 회의에 참석하는 분은 내일 아침까지 자료를 보내 주세요.",
      ],
    },

    noQuery: "질의를 입력하세요. 문서가 이 질의에 얼마나 잘 답하는지를 비교합니다.",
    noDocuments: "문서를 하나 이상 입력하거나 파일을 추가하세요.",
    badTopN: "1 이상의 정수를 입력하거나, 모두 보려면 비워 두세요.",
    fileProblem: {
      name: (file) => `${file}: 추가하지 않았습니다. .txt와 .jsonl 파일만 읽습니다.`,
      unreadable: (file) =>
        `${file}: 추가하지 않았습니다. 읽을 수 없습니다. 폴더이거나 옮겨진 파일인지 확인하세요.`,
      encoding: (file) =>
        `${file}: 추가하지 않았습니다. UTF-8 텍스트가 아닙니다. UTF-8로 저장한 뒤 다시 추가하세요.`,
      line: (file, line) =>
        `${file}: 추가하지 않았습니다. ${line}번째 줄이 JSON 문자열도, 문자열 “text”가 있는 JSON 객체도 아닙니다.`,
      empty: (file) => `${file}: 추가하지 않았습니다. 문서가 없습니다.`,
    },

    count: (n) => `문서 ${number(n)}개`,
    ranking: (n) => `${words.count(n)}의 순위를 매기는 중…`,
    summary: (shown, n, seconds, tokens) =>
      `${words.count(n)}${shown < n ? ` 중 상위 ${number(shown)}개` : ""} · ${duration(seconds)} · 토큰 ${number(tokens)}개`,
    score: "점수",
    origin: (position) => `${number(position)}번 문서`,
    up: (places) => `${number(places)}계단 위로`,
    down: (places) => `${number(places)}계단 아래로`,
    same: "제자리",
    scale: ({ score, score_range: [low, high], kind }) =>
      `점수는 ${number(low)}에서 ${number(high)} 사이의 ${{ cosine: "코사인", "calibrated probability": "보정된 확률" }[score] ?? "값"}입니다.` +
      (kind === "listwise"
        ? " 한 번의 결과 안에서만 비교하고, 다른 결과와는 비교하지 마세요."
        : ""),

    failures: {
      unreachable: [
        "서비스가 응답하지 않습니다",
        "서비스가 멈췄거나 연결이 끊겼습니다. 실행 중인지 확인하고 다시 보내세요. 입력한 내용은 그대로 있습니다.",
      ],
      401: ["키가 필요합니다", "이 서비스에 등록된 키를 ‘API 키’ 칸에 입력하고 다시 보내세요."],
      413: [
        "한 번에 보내기에는 너무 많습니다",
        "문서를 줄이거나, 서비스가 알려 준 한도를 늘리세요.",
      ],
      422: ["서비스가 요청을 거절했습니다", "서비스가 알려 준 부분을 고치고 다시 보내세요."],
      429: [
        "서비스가 바쁩니다",
        "기다리는 요청이 너무 많습니다. 몇 초 뒤에 다시 보내세요.",
      ],
      503: [
        "모델이 준비되지 않았습니다",
        "모델을 불러오는 중이거나 막 다시 시작했습니다. 몇 초 뒤에 다시 보내세요.",
      ],
      504: ["시간이 너무 오래 걸렸습니다", "문서를 줄이거나 짧게 하고, 또는 제한 시간을 늘리세요."],
      other: [
        "서비스에 오류가 났습니다",
        "다시 보내 보세요. 그래도 안 되면 서비스의 로그를 확인하세요.",
      ],
    },
  },
};

/** The words of the language spoken now. */
export let words;

/** The language to begin with: the browser's if the page speaks it, else English. */
export function preferredLanguage() {
  const [language] = navigator.language.split("-");
  return language in languages ? language : "en";
}

/** Speak `language` from now on, everywhere on the page. */
export function speak(language) {
  words = languages[language];
  document.documentElement.lang = language;
  translate(document);
}

/** Put words into the elements of `root`: those named in `data-words` and `data-placeholder`. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-words]")) {
    element.textContent = words[element.dataset.words] ?? "";
  }
  for (const element of root.querySelectorAll("[data-placeholder]")) {
    element.placeholder = words[element.dataset.placeholder];
  }
}

/** A copy of the template `id` with words in it. */
export function copyOf(id) {
  const copy = document.getElementById(id).content.cloneNode(true);
  translate(copy);
  return copy;
}

function number(value) {
  return value.toLocaleString(document.documentElement.lang).replace("-", "−");
}

function duration(seconds) {
  const [value, unit, digits] =
    seconds < 1 ? [seconds * 1000, "millisecond", 0] : [seconds, "second", 1];
  const format = { style: "unit", unit, maximumFractionDigits: digits };
  return value.toLocaleString(document.documentElement.lang, format);
}
