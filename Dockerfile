# llmrun on Debian 12: docker build -t llmrun . && docker run --rm -e OPENAI_API_KEY llmrun -p "Hello"
FROM debian:12-slim AS build
COPY . /src
WORKDIR /src
RUN .ci/deps && cmake -S . -B build -DLLM_LUA=5.4 && cmake --build build -j2 && cmake --install build --prefix /opt/llmrun

FROM debian:12-slim
RUN apt-get update -q && apt-get install -q -y --no-install-recommends \
    libcurl4 libmicrohttpd12 libssl3 libpcre2-8-0 libsqlite3-0 ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/llmrun /usr/local
ENTRYPOINT ["llmrun"]
